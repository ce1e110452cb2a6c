"""Is this ``htu`` the URL that was requested (RFC 9449 §4.3, RFC 3986 §6.2)? Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

_PORTS: Final = {"https": 443, "http": 80}
#: What a URI consists of (RFC 3986 §2). ``urlsplit`` drops some other characters without a word.
_URI: Final = re.compile(r"[!-~]+")


def is_target(uri: str, requested: str) -> bool:
    """Say whether *uri* names *requested*: scheme, host, port and path. Query and fragment are ignored.

    Args:
        uri: What the client says. Case, default port, percent-encoding and dot segments are normalised.
        requested: The URL of this request, absolute. Nobody wrote dot segments into it, so none are removed.
    """
    if uri == requested:
        # What nearly every client sends.
        return True
    theirs, ours = _split(uri), _split(requested)
    if theirs is None or ours is None or theirs.username is not None or theirs.password is not None:
        return False
    return _origin(theirs) == _origin(ours) and _decoded(_without_dots(theirs.path)) == _decoded(ours.path)


def _split(uri: str) -> SplitResult | None:
    if not _URI.fullmatch(uri):
        return None
    try:
        parts = urlsplit(uri)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    # Scheme and host come in lower case.
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _decoded(path: str) -> bytes:
    """Return what a server sees of a path: no encoded character differs from a plain one for Django."""
    return unquote_to_bytes(path or "/")


def _without_dots(path: str) -> str:
    """Remove dot segments, as every client does before it sends a request (RFC 3986 §5.2.4)."""
    if "." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    *segments, last = (re.sub("%2[eE]", ".", segment) for segment in path.split("/")[1:])
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        kept[-1:] = []
    return "/" + "".join(f"{segment}/" for segment in kept) + (last if last not in (".", "..") else "")
