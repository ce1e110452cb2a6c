"""The kinds of values of the keys that shape a request. See :mod:`django_lazyauth.openid.provider_kinds`.

Not here: how a placeholder is filled (:mod:`.fill`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from django_lazyauth.openid.provider_kinds import OWN_PARAMETERS, URL, Kind, Wrong, is_a, text, wanted
from django_lazyauth.openid.rules import Path, parse_path

from .fill import NAMES

#: Characters of a JSON value in the settings.
JSON_LIMIT: Final = 8192
#: Words and values of one list.
WORDS_LIMIT: Final = 32
#: Further parameters of an authorization response that are kept.
ANSWER_PARAMS_LIMIT: Final = 4
#: Parameters of an authorization response that have a meaning of their own, and tokens.
_ANSWER_PARAMETERS: Final = frozenset(
    {
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "access_token",
        "id_token",
        "response",
    }
)
#: Values that are kept with a refresh token.
KEEP_LIMIT: Final = 4
#: Characters of a private key.
PEM_LIMIT: Final = 16384
#: Bounds of the lifetime of a signed secret, in seconds. The upper one is Apple's.
SECRET_LIFETIME: Final = (120, 15_777_000)
#: Headers that our client and HTTP itself set. ``Authorization`` and ``Cookie`` hold credentials.
_OWN_HEADERS: Final = frozenset({"host", "authorization", "cookie", "connection", "transfer-encoding"})
#: Members of a token request that no configuration may replace.
OWN_TOKEN_PARAMETERS: Final = frozenset(
    {
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "grant_type",
        "redirect_uri",
        "refresh_token",
    }
)

_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


def _separator(value: Any) -> str:
    wanted(is_a(value, str) and value in (" ", ","))
    return str(value)


SEPARATOR: Final = Kind('" " or ","', _separator)


def _parameter(value: Any) -> str:
    wanted(is_a(value, str) and _PARAMETER.fullmatch(value))
    return str(value)


PARAMETER: Final = Kind("a name of letters, digits and _.-, at most 64", _parameter)


def parameter_for(own: str) -> Kind:
    """Another name of the parameter *own*. It is not the name of another one of ours."""

    def read(value: Any) -> str:
        found = _parameter(value)
        wanted(found not in (OWN_PARAMETERS | OWN_TOKEN_PARAMETERS) - {own})
        return found

    return Kind(f"{PARAMETER.words}, and no other parameter of ours", read)


def _fragment(value: Any) -> str:
    wanted(is_a(value, str) and (not value or _PARAMETER.fullmatch(value)))
    return str(value)


FRAGMENT: Final = Kind("letters, digits and _.-, at most 64", _fragment)


def _check_placeholders(value: str, allowed: Iterable[str]) -> None:
    """Refuse a placeholder that nothing fills. The hint names what may stand there."""
    for name in NAMES.findall(value):
        source, colon, _ = name.partition(":")
        if (f"{source}:path" if colon else name) not in allowed:
            raise Wrong("may hold no placeholder but " + ", ".join(f"{{{name}}}" for name in allowed))
        if colon:
            parse_path(name)


def endpoint(*placeholders: str) -> Kind:
    """An address with placeholders in its path or query."""

    def read(value: Any) -> str:
        found: str = URL.read(value)
        _check_placeholders(found, placeholders)
        wanted("{" not in found.partition("://")[2].partition("/")[0])
        return found

    return Kind(URL.words, read)


def parameters(own: frozenset[str] = OWN_PARAMETERS, *placeholders: str) -> Kind:
    """Further parameters, with placeholders. None of them is one of *own*."""

    def read(value: Any) -> Mapping[str, str]:
        wanted(is_a(value, Mapping))
        found = {name: item for name, item in value.items() if item is not None}
        wanted(all(is_a(one, str) for one in (*found, *found.values())))
        if taken := own & set(found):
            raise Wrong(f"must not hold {', '.join(sorted(taken))}")
        for item in found.values():
            _check_placeholders(item, placeholders)
        # An empty one is the same as none (RFC 6749 §3.1).
        return MappingProxyType({name: item for name, item in found.items() if item})

    return Kind("a dict of texts", read)


def _headers(value: Any) -> Mapping[str, str]:
    wanted(is_a(value, Mapping))
    found = {name: item for name, item in value.items() if item is not None}
    wanted(all(is_a(name, str) and _HEADER.fullmatch(name) for name in found))
    wanted(all(is_a(item, str) and item.isascii() and item.isprintable() for item in found.values()))
    lower = {name.lower() for name in found}
    if lower & _OWN_HEADERS or any(name.startswith("content-") for name in lower):
        raise Wrong("must not hold Host, Authorization, Cookie, Connection, Transfer-Encoding or Content-*")
    for item in found.values():
        _check_placeholders(item, ("client_id",))
    # The names of headers have no case. In one spelling each stands once.
    return MappingProxyType({name.title(): item for name, item in found.items()})


HEADERS: Final = Kind("a dict of texts in printable ASCII", _headers)


def _json(value: Any) -> str:
    """Return a dict as JSON, so that the descriptor stays a value that cannot change."""
    wanted(is_a(value, Mapping))
    found = json.dumps(dict(value), separators=(",", ":"), allow_nan=False)
    wanted(len(found) <= JSON_LIMIT)
    return found if value else ""


JSON: Final = Kind(f"a dict that is JSON of at most {JSON_LIMIT:,} characters", _json)


def _path(value: Any) -> Path:
    wanted(is_a(value, str))
    found = parse_path(value)
    if found.source:
        raise Wrong("must be a path without source")
    return found


PATH: Final = Kind("a [path](#rules) without source", _path)


def _answer_params(value: Any) -> Mapping[str, str]:
    wanted(is_a(value, Mapping))
    found = {name: kind for name, kind in value.items() if kind is not None}
    wanted(len(found) <= ANSWER_PARAMS_LIMIT)
    for name, kind in found.items():
        wanted(is_a(name, str) and _PARAMETER.fullmatch(name) and is_a(kind, str))
        wanted(kind in ("json", "text"))
    if taken := _ANSWER_PARAMETERS & set(found):
        raise Wrong(f"must not hold {', '.join(sorted(taken))}")
    return MappingProxyType(found)


ANSWER_PARAMS: Final = Kind(
    f"a dict of at most {ANSWER_PARAMS_LIMIT} names, each with json or text", _answer_params
)


def _keep(value: Any) -> tuple[str, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= KEEP_LIMIT)
    wanted(all(is_a(name, str) and NAMES.fullmatch(f"{{{name}}}") for name in value))
    wanted(all(parse_path(name).source in ("token", "answer") for name in value))
    return tuple(value)


KEEP: Final = Kind(f"a list of at most {KEEP_LIMIT} paths of names that begin with token: or answer:", _keep)


def private_key(*algorithms: str) -> Kind:
    """A private key for one of *algorithms*, as PEM."""

    def read(value: Any) -> str:
        from .private_key import load_private_key  # cryptography is loaded where there is a key

        found: str = text(PEM_LIMIT).read(value)
        wanted(not found or load_private_key(found)[1] in algorithms)
        return found

    return Kind("a private key as PEM without password: " + _KEY_WORDS[algorithms], read)


#: For assertions, and for secrets that are JWTs.
ASSERTION_ALGORITHMS: Final = ("RS256", "ES256", "ES384", "EdDSA")
SECRET_ALGORITHMS: Final = ("ES256",)
_KEY_WORDS: Final = {
    ASSERTION_ALGORITHMS: "RSA of 2048 bits or more, EC P-256, EC P-384 or Ed25519",
    SECRET_ALGORITHMS: "EC P-256",
}


def _lifetime(value: Any) -> int:
    wanted(is_a(value, int) and value is not True and SECRET_LIFETIME[0] <= value <= SECRET_LIFETIME[1])
    return int(value)


LIFETIME: Final = Kind("{:,} to {:,} seconds".format(*SECRET_LIFETIME), _lifetime)


def _words(value: Any) -> tuple[str, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= WORDS_LIMIT)
    read = text().read
    found = tuple(read(item) for item in value)
    wanted(all(found))
    return found


WORDS: Final = Kind(f"a list of at most {WORDS_LIMIT} texts", _words)


def _values(value: Any) -> tuple[str | int, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= WORDS_LIMIT)
    wanted(all(is_a(item, str, int) for item in value))
    return tuple(value)


VALUES: Final = Kind(f"a list of at most {WORDS_LIMIT} texts or integers", _values)


def _token_place(value: Any) -> str:
    wanted(is_a(value, str))
    place, _, name = value.partition(":")
    wanted(value == "bearer" or (place in ("header", "query", "form") and _PARAMETER.fullmatch(name)))
    return str(value)


TOKEN_PLACE: Final = Kind("bearer, header:WORD, query:NAME or form:NAME", _token_place)
