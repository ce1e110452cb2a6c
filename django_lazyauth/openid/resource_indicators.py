"""Resource indicators (RFC 8707): what may be one, when two are the same, and what lies below one.

Asked where tokens are issued and where they are accepted. DOT parses them in the same way: a contract test compares.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from django_lazyauth.conf import lazyauth_settings

#: Resources of one request.
MAX_RESOURCES: Final = 10
#: Characters of one indicator, and of all that a request names. They travel in each token, which is at most 16 KiB.
MAX_RESOURCE_LENGTH: Final = 1024
MAX_TOTAL_LENGTH: Final = 4096
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_sound_resource(resource: object) -> bool:
    """Say whether a value can be a resource indicator (RFC 8707 §2)."""
    return (
        isinstance(resource, str)
        and len(resource) <= MAX_RESOURCE_LENGTH
        and _origin_and_path(resource) is not None
    )


def fault_of_resources(resources: Sequence[str]) -> str:
    """Return why no request may name all these resources, in words for the client; empty if one may."""
    if len(resources) > MAX_RESOURCES:
        return f"A request may name {MAX_RESOURCES} resources."
    lengths = [len(resource) for resource in resources]
    if sum(lengths) > MAX_TOTAL_LENGTH or any(length > MAX_RESOURCE_LENGTH for length in lengths):
        return (
            f"A resource may have {MAX_RESOURCE_LENGTH} characters, and all of a request {MAX_TOTAL_LENGTH}."
        )
    if not all(is_sound_resource(resource) for resource in resources):
        return "A resource must be an absolute URI with a host, without userinfo and fragment (RFC 8707)."
    return ""


def audience_of(resources: Sequence[str] | None) -> list[str]:
    """Return the audience of a token: the resources that were asked for, else this site (RFC 9068 §3)."""
    return list(resources or ()) or [lazyauth_settings.issuer]


def same_resource(one: str, other: str) -> bool:
    """Say whether two indicators are equal, but for the slash of an empty path (RFC 3986 §6.2.3).

    Libraries that parse a URL and write it down again add that slash.
    """
    return with_root_slash(one) == with_root_slash(other)


def with_root_slash(indicator: str) -> str:
    """Return *indicator* in the form in which two are compared: an empty path without a query is ``/``."""
    _scheme, separator, rest = indicator.partition("://")
    return f"{indicator}/" if separator and not set(rest) & {"/", "?"} else indicator


def named_of(asked: Iterable[str], allowed: Sequence[str]) -> tuple[str, ...] | None:
    """Return those of *allowed* that *asked* names, as they are written there; ``None`` where it names another.

    A client may write the slash of an empty path in one request and leave it out in the next. What was allowed is what
    stands in a token.
    """
    found = [
        one if one in allowed else next((other for other in allowed if same_resource(one, other)), None)
        for one in asked
    ]
    known = tuple(dict.fromkeys(one for one in found if one is not None))
    return None if None in found else known


def lies_below(uri: str, resource: str) -> bool:
    """Say whether *uri* is *resource*, or lies below it. Queries do not count."""
    here, there = _origin_and_path(uri), _origin_and_path(resource)
    if here is None or there is None or here[0] != there[0]:
        return False
    return f"{here[1].rstrip('/')}/".startswith(f"{there[1].rstrip('/')}/")


#: Scheme, host and port, in the form in which they are compared.
Origin = tuple[str, str, int | None]


def _origin_and_path(uri: str) -> tuple[Origin, str] | None:
    """Return origin and path of an absolute URI with a host; ``None`` for everything else (RFC 8707 §2).

    A URI with userinfo is refused, because it can hide its host, and one with a fragment, even an empty one.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # "http://[", or a port that no host has.
        return None
    if "#" in uri or "@" in parts.netloc or not parts.scheme or not parts.hostname:
        return None
    scheme = parts.scheme.lower()
    origin = (scheme, parts.hostname.lower(), DEFAULT_PORTS.get(scheme) if port is None else port)
    return origin, posixpath.normpath(parts.path or "/")
