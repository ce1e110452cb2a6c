"""When are two resource indicators the same (RFC 8707)? Asked where tokens are issued and where they are taken."""

from __future__ import annotations


def same_resource(one: str, other: str) -> bool:
    """Say whether two indicators are one: equal, but for the slash of an empty path (RFC 3986 §6.2.3).

    Libraries that parse a URL and write it down again add that slash.
    """
    return _without_root_slash(one) == _without_root_slash(other)


def _without_root_slash(indicator: str) -> str:
    scheme, separator, rest = indicator.partition("://")
    return f"{scheme}{separator}{rest[:-1]}" if separator and rest.find("/") == len(rest) - 1 else indicator
