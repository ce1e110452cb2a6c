"""The kinds of values that settings have. Each says in words what it allows, and reads it.

A ``read`` function raises for a wrong value; :func:`.setting.read` makes the message. ``issubclass(type(value), …)``
stands where ``isinstance`` would believe what an object claims about itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from django.utils.functional import Promise
from django.utils.module_loading import import_string

from .setting import Kind, Refused, type_of

T = TypeVar("T")
#: A text without blanks and control characters.
UNBROKEN = r"[^\x00-\x20\x7f]+"
#: A dotted path that may be shown in a message.
_DOTTED_PATH = re.compile(r"[\w.]{1,200}", re.ASCII)


def wanted(condition: object) -> None:
    """Refuse the value unless *condition* is true."""
    if not condition:
        raise Refused


def is_a(value: object, *types: type) -> bool:
    return issubclass(type(value), types)


# -- numbers ------------------------------------------------------------------------------------------------


def duration(
    *, at_most: timedelta, at_least: timedelta = timedelta(0), zero: bool = False
) -> Kind[timedelta]:
    """Seconds or a ``timedelta``; finite, not below *at_least*, and zero only if *zero*."""

    def read(value: Any) -> timedelta:
        if not is_a(value, timedelta):
            wanted(is_a(value, int, float) and not is_a(value, bool))
            wanted(0 <= value <= at_most.total_seconds())  # False for NaN and infinity, too.
            value = timedelta(seconds=value)
        wanted(at_least <= value <= at_most and (zero or value))
        found: timedelta = value
        return found

    least = f"at least {in_words(at_least)}" if at_least else "zero or more" if zero else "more than 0"
    return Kind(f"seconds or a timedelta, {least} and at most {in_words(at_most)}", read)


def in_words(time: timedelta) -> str:
    """Return ``15 min`` or ``90 days``: the greatest unit that *time* is a whole number of."""
    seconds = int(time.total_seconds())
    for unit, name in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds and seconds % unit == 0:
            count = seconds // unit
            return f"{count:,} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{seconds} s"


def integer(*, at_least: int = 0, at_most: int) -> Kind[int]:
    def read(value: Any) -> int:
        wanted(is_a(value, int) and not is_a(value, bool) and at_least <= value <= at_most)
        return int(value)

    return Kind(f"an integer from {at_least} to {at_most:,}", read)


def _flag(value: Any) -> bool:
    wanted(value is True or value is False)
    return bool(value)


FLAG: Kind[bool] = Kind("True or False", _flag)


# -- texts --------------------------------------------------------------------------------------------------


def text(value: Any, *, pattern: str = "") -> str:
    """Return a text that matches *pattern*, or any that is not empty. A lazy text is resolved."""
    if type(value) is not str:
        wanted(isinstance(value, str))
        value = str(value)
    wanted(re.fullmatch(pattern, value) if pattern else value)
    found: str = value
    return found


def matching(words: str, pattern: str) -> Kind[str]:
    return Kind(words, lambda value: text(value, pattern=pattern))


def choice(*names: str) -> Kind[Any]:
    """One of *names*. The row's annotation says which ``Literal`` that is."""
    quoted = [f'"{name}"' for name in names]
    words = " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))

    def read(value: Any) -> str:
        found = text(value)
        if found not in names:
            raise Refused(hint=nearest(found, names) or f"It is {type_of(value)} that is none of them.")
        return found

    return Kind(words, read)


def nearest(name: object, names: Iterable[str]) -> str:
    """Return a hint with the one of *names* that *name* was meant to be, or nothing."""
    if not is_a(name, str):
        return ""
    by_folded = {known.casefold(): known for known in names}
    close = get_close_matches(str(name)[:100].casefold(), by_folded, n=1)
    return f'Did you mean "{by_folded[close[0]]}"?' if close else ""


def absolute_url(value: Any) -> SplitResult:
    """Return the parts of an http(s) URL. A wrong port raises ``ValueError`` here, not when it is used."""
    # urlsplit() drops tabs and line breaks without a word.
    parts = urlsplit(text(value, pattern=UNBROKEN))
    wanted(parts.scheme in {"https", "http"} and parts.hostname and (parts.port is None or parts.port))
    return parts


@lru_cache(maxsize=8)
def _issuer(value: str) -> str:
    parts = absolute_url(value)
    # A host of other characters is written in Punycode (RFC 3986 §3.2.2): clients compare issuers letter by letter.
    wanted(value.isascii() and not parts.query and not parts.fragment)
    return value


def _issuer_or_hint(value: Any) -> str:
    try:
        return _issuer(text(value))
    except Exception:  # noqa: BLE001 - a value may be an object of the host, which raises what it likes.
        raise Refused(hint=ISSUER_EXAMPLES) from None


@lru_cache(maxsize=8)
def _own_issuer(value: str) -> str:
    """Return an issuer that every parser of URLs writes down as it stands, but for the slash of the root.

    Clients compare issuers letter by letter, and many parse what they get. Userinfo would be published, too.
    """
    parts = urlsplit(_issuer(value))
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default = 443 if parts.scheme == "https" else 80
    netloc = f"{host}:{parts.port}" if parts.port not in (None, default) else host
    wanted(value.startswith(f"{parts.scheme}://") and parts.netloc == netloc)
    wanted(re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", parts.path))
    wanted(not {".", ".."} & set(re.sub("%2e", ".", parts.path, flags=re.IGNORECASE).split("/")))
    return value


def _own_issuer_or_hint(value: Any) -> str:
    try:
        return _own_issuer(text(value))
    except Exception:  # noqa: BLE001 - whatever a parser of URLs says of it, it is no issuer
        raise Refused(hint=ISSUER_EXAMPLES) from None


#: At the root of the origin with a slash, with a path without one: see the row of the setting.
ISSUER_EXAMPLES: Final = 'Like "https://auth.example.org/" or "https://example.org/oauth".'
ISSUER: Kind[str] = Kind("an http(s) URL without query and fragment (RFC 8414 §2)", _issuer_or_hint)
OWN_ISSUER: Kind[str] = Kind(
    "an http(s) URL in normal form without userinfo, query and fragment (RFC 8414 §2)", _own_issuer_or_hint
)


# -- several ------------------------------------------------------------------------------------------------


def items(
    words: str, item: Callable[[Any], T], *, types: tuple[type, ...] = (list, tuple)
) -> Kind[tuple[T, ...]]:
    def read(value: Any) -> tuple[T, ...]:
        wanted(is_a(value, *types))
        return tuple(map(item, value))

    return Kind(words, read)


def pairs(words: str, item: Callable[[Any], T], *, key: Callable[[Any], str] = text) -> Kind[Mapping[str, T]]:
    def read(value: Any) -> Mapping[str, T]:
        wanted(is_a(value, Mapping))
        return {key(name): item(one) for name, one in value.items()}

    return Kind(words, read)


def some(kind: Kind[tuple[T, ...]]) -> Kind[tuple[T, ...]]:
    """Return *kind* with one member or more: an empty list is refused."""

    def read(value: Any) -> tuple[T, ...]:
        found = kind.read(value)
        wanted(found)
        return found

    return Kind(kind.words, read)


def optional(kind: Kind[T]) -> Kind[T | None]:
    return Kind(f"{kind.words}, or None", lambda value: None if value is None else kind.read(value))


def mapping(value: Any) -> Mapping[str, Any]:
    if type(value) is dict:  # The usual case, on each call to an upstream.
        return value
    wanted(is_a(value, Mapping))
    return dict(value)


def shown_text(value: Any) -> str:
    """Return a text that a page shows. A lazy translation stays lazy."""
    if is_a(value, Promise):
        lazy_text: str = value
        return lazy_text
    return text(value)


# -- code ---------------------------------------------------------------------------------------------------


def code(value: Any) -> Callable[..., Any]:
    """Return a callable, or what a dotted path leads to.

    Raises:
        Refused: The path cannot be imported. What the import raised is the cause.
    """
    if is_a(value, str):
        try:
            value = import_string(value)
        except Exception as error:
            shown = f" ({value})" if _DOTTED_PATH.fullmatch(value) else ""
            hint = f"Its import raised {type(error).__name__}{shown}."
            raise Refused("cannot be imported", hint=hint) from error
    wanted(callable(value))
    found: Callable[..., Any] = value
    return found


CODE: Kind[Callable[..., Any]] = Kind("a callable or the dotted path of one", code)
