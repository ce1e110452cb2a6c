"""Say which configured prefix a path leads to, whichever way the tool server reads the path.

Servers differ: some decode a second time, ignore case, drop path parameters (``;a``), merge slashes, take ``\\`` for a
slash, or resolve dot segments. A path is refused when two such readings lead to different prefixes. So no path that a
tool server takes for one below a prefix passes by, and no upstream token reaches another path.

Pure: no request, no settings of Django.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from django_lazyauth.errors import LazyAuthError

#: Readings of one path, at most. A path of a usual client has one to three.
MAX_READINGS: Final = 64
#: Characters whose encoding changes what a path means (RFC 3986 §2.2): a server may or may not decode them.
_DELIMITERS: Final = re.compile(r"%(?=2f|5c|3b|25)", re.IGNORECASE)
#: Characters that some servers drop, and that no client sends in a path.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


class AmbiguousPath(LazyAuthError):
    """Two servers may read the path differently, and only one of the readings leads to a configured prefix."""


def longest_prefix(
    path: str, prefixes: Iterable[str], *, mount: str = "", raw_path: str | None = None
) -> str | None:
    """Return the longest of *prefixes* that *path* lies below, ``None`` where there is none.

    Args:
        path: Decoded path below *mount*.
        prefixes: Each ends at a slash, written or not.
        mount: ``SCRIPT_NAME`` or ``root_path``.
        raw_path: The path as it was sent, where the server tells it, with or without *mount*.

    Raises:
        AmbiguousPath: Two readings of the path lead to different prefixes.
    """
    folded = {_fold(prefix.rstrip("/")): prefix for prefix in prefixes}
    found = _longest(path, {prefix.rstrip("/"): prefix for prefix in prefixes})
    expected = None if found is None else _fold(found.rstrip("/"))
    sent = [path] if raw_path is None else [path, _below(_decode_once(raw_path), mount)]
    for reading in _readings(sent):
        if _longest(_fold(reading), {prefix: prefix for prefix in folded}) != expected:
            raise AmbiguousPath
    if found is None and mount and any(_longest(_fold(one), folded) for one in _readings([mount + path])):
        # Not every server takes its mount off the path.
        raise AmbiguousPath
    return found


def below_mount(path: str, mount: str) -> str:
    """Return *path* without *mount*, as Starlette and Django do: a server sends it with the mount or without."""
    return _below(path, mount)


def _below(path: str, mount: str) -> str:
    mount = mount.rstrip("/")
    return path.removeprefix(mount) if path == mount or path.startswith(f"{mount}/") else path


def _decode_once(raw_path: str) -> str:
    """Decode what means the same either way. Encoded delimiters stay encoded."""
    return unquote(_DELIMITERS.sub("%25", raw_path))


def _longest(path: str, prefixes: Mapping[str, str]) -> str | None:
    below = f"{path.rstrip('/')}/"
    matching = [prefix for prefix in prefixes if below.startswith(f"{prefix}/")]
    return prefixes[max(matching, key=len)] if matching else None


def _readings(paths: Iterable[str]) -> Iterator[str]:
    """Yield *paths*, and all that the rules make of them, in any order.

    Raises:
        AmbiguousPath: There are too many, or one is no UTF-8.
    """
    known = list(dict.fromkeys(paths))
    for path in known:
        if "\ufffd" in path or len(known) > MAX_READINGS:
            raise AmbiguousPath
        yield path
        known += dict.fromkeys(read for rule in _RULES if (read := rule(path)) not in known)


def _fold(path: str) -> str:
    return path.casefold()


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _without_parameters(path: str) -> str:
    return re.sub(r";[^/]*", "", path) if ";" in path else path


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/")


def _merged(path: str) -> str:
    return re.sub("/{2,}", "/", path)


def _without_dots(path: str) -> str:
    """Resolve dot segments as RFC 3986 §5.2.4 does: an empty segment counts as one."""
    if "/." not in path:
        return path
    kept: list[str] = []
    *inner, last = path.split("/")[1:]
    for segment in [*inner, last]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if last in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _compatible(path: str) -> str:
    """Replace look-alikes of ASCII (``／``), and drop control characters."""
    return (
        path
        if path.isascii() and path.isprintable()
        else _CONTROLS.sub("", unicodedata.normalize("NFKC", path))
    )


def _trimmed(path: str) -> str:
    """Drop dots and blanks at the end of segments, as Windows does."""
    return re.sub(r"(?<=[^/. ])[. ]+(?=/|$)", "", path)


_RULES: Final[tuple[Callable[[str], str], ...]] = (
    _rooted,
    unquote,
    _with_slashes,
    _without_parameters,
    _merged,
    _without_dots,
    _compatible,
    _trimmed,
)
