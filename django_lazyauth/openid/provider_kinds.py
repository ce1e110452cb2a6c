"""The kinds of values that keys of a provider have. Each says in words what it allows, and reads it.

A ``read`` function raises for a wrong value: anything, or :class:`Wrong` with more to say. No text holds the value
(I13).
``issubclass(type(value), …)`` stands where ``isinstance`` would believe what an object claims about itself.

Not here: which keys there are (:mod:`.provider_settings`). Django is not imported.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import urlsplit

from django_lazyauth.kit.text import has_bad_characters

#: Characters of an issuer and of a subject; also the width of their columns.
IDENTIFIER_LIMIT: Final = 255
URL_LIMIT: Final = 2048
#: Characters of a name that pages show; also the width of its columns.
SHOWN_NAME_LIMIT: Final = 128
SCOPE_LIMIT: Final = 32
#: The signature algorithms that are accepted unless the operator says otherwise, best known first.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
#: Those whose key is the client secret, and the octets that it must have (RFC 7518 §3.2).
SECRET_ALGORITHMS: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
#: Parameters of an authorization request that no configuration may replace.
OWN_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_STATIC_PATH: Final = re.compile(r"[A-Za-z0-9_.@+-][A-Za-z0-9_.@+/-]*")
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Wrong(ValueError):
    """A value is not of its kind.

    Attributes:
        predicate: What is wrong, such as ``must be True or False``. Empty: the kind's own words say it.
    """

    def __init__(self, predicate: str = "") -> None:
        self.predicate = predicate
        super().__init__(predicate)


@dataclass(frozen=True, slots=True)
class Kind:
    """The values that a key allows.

    Attributes:
        words: The allowed values, such that "must be …" is a sentence.
        read: Returns the value as the code uses it.
    """

    words: str
    read: Callable[[Any], Any]


#: The types that send people to another site.
UPSTREAMS: Final = ("oidc", "oauth2")
#: The default of a key that has none.
REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Key:
    """A row of the table.

    Attributes:
        kind: The allowed values. Of a key with ``members``: its words only.
        text: One or two sentences for the reference page, in Markdown.
        default: As the code uses it; ``REQUIRED``: there is none.
        default_of: The defaults of types where it is another.
        default_text: The default in words, where the value does not explain itself.
        types: The types of providers that may have it.
        members: The keys of a mapping.
    """

    name: str
    kind: Kind
    text: str
    default: Any = ""
    default_of: Mapping[str, Any] = field(default_factory=dict)
    default_text: str = ""
    types: tuple[str, ...] = UPSTREAMS
    members: tuple[Key, ...] = ()

    def default_for(self, kind: str) -> Any:
        return self.default_of.get(kind, self.default)


def wanted(condition: object) -> None:
    """Refuse the value unless *condition* is true."""
    if not condition:
        raise Wrong


def is_a(value: object, *types: type) -> bool:
    return issubclass(type(value), types)


def _flag(value: Any) -> bool:
    wanted(value is True or value is False)
    return bool(value)


FLAG: Final = Kind("True or False", _flag)


def text(limit: int = IDENTIFIER_LIMIT) -> Kind:
    """A text without NUL and lone surrogates. An empty one is an absent one."""

    def read(value: Any) -> str:
        wanted(is_a(value, str) and len(value) <= limit and not has_bad_characters(value))
        return str(value)

    return Kind(f"a text of at most {limit:,} characters", read)


def choice(*names: str) -> Kind:
    def read(value: Any) -> str:
        wanted(is_a(value, str) and value in names)
        return str(value)

    return Kind(f"one of {', '.join(names)}", read)


def _is_lazy(value: object) -> bool:
    """Say whether *value* is a lazy translation. Django is not imported for it."""
    return any(base.__name__ == "Promise" for base in type(value).__mro__)


def shown_text(limit: int) -> Kind:
    """A text that a page shows. A lazy translation stays lazy."""
    plain = text(limit)
    return Kind(plain.words, lambda value: value if _is_lazy(value) else plain.read(value))


def _static_path(value: Any) -> str:
    found: str = text().read(value)
    wanted(not found or (_STATIC_PATH.fullmatch(found) and ".." not in found.split("/")))
    return found


STATIC_PATH: Final = Kind(
    f"a relative path of letters, digits and _.@+-/, at most {IDENTIFIER_LIMIT} characters", _static_path
)


def _class(value: Any) -> Any:
    wanted(value and is_a(value, str, type))
    return value


CLASS: Final = Kind("a class or the dotted path of one", _class)


def _constants(value: Any) -> tuple[Any, ...]:
    wanted(is_a(value, list, tuple) and 0 < len(value) <= 8 and all(is_a(one, str, int) for one in value))
    return tuple(value)


CONSTANTS: Final = Kind("a list of one to 8 texts, integers, True or False", _constants)


# -- addresses ----------------------------------------------------------------------------------------------


def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in {"https", "http"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in url
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )


def _url(value: Any) -> str:
    """Return an absolute http(s) URL. The fetcher allows plain http to loopback only."""
    found: str = text(URL_LIMIT).read(value)
    wanted(not found or _is_absolute(found))
    return found


URL: Final = Kind("an absolute https URL without fragment", _url)


@lru_cache(maxsize=64)
def _read_certificates(path: str, changed_at: int) -> None:
    """Read the certificates of a file once for each time that it was written.

    Raises:
        OSError: It holds none, or cannot be read.
    """
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)


def _ca_file(value: Any) -> str:
    wanted(is_a(value, str, PurePath))
    path: str = text(4096).read(str(value))
    if path:
        _read_certificates(path, os.stat(path).st_mtime_ns)
    return path


CA_FILE: Final = Kind("the path of a readable PEM file with certificates", _ca_file)


#: What comes after an issuer in the URL of its metadata (OpenID Connect Discovery §4). It is copied along.
METADATA_PATH: Final = "/.well-known/openid-configuration"


def _issuer(value: Any) -> str:
    found: str = text().read(value)
    plain = PLACEHOLDER.sub("x", found)
    wanted(not found or (_is_absolute(plain) and not set("?{}") & set(plain)))
    if found.rstrip("/").endswith(METADATA_PATH):
        raise Wrong(f"must be the issuer alone, without {METADATA_PATH}")
    if "{" in urlsplit(found).netloc:
        # A tenant in the host would choose the server whose keys are trusted.
        raise Wrong("may hold placeholders in its path only")
    return found


ISSUER: Final = Kind(
    f"an https URL of at most {IDENTIFIER_LIMIT} characters without query and fragment", _issuer
)


# -- several ------------------------------------------------------------------------------------------------


def _texts(value: Any) -> tuple[str, ...]:
    wanted(is_a(value, list, tuple) and all(is_a(item, str) for item in value))
    return tuple(dict.fromkeys(value))


def _scopes(value: Any) -> tuple[str, ...]:
    found = _texts(value)
    wanted(len(found) <= SCOPE_LIMIT and all(_SCOPE_TOKEN.fullmatch(scope) for scope in found))
    return found


SCOPES: Final = Kind(f"a list of at most {SCOPE_LIMIT} scopes (RFC 6749 §3.3)", _scopes)


def _algorithms(value: Any) -> tuple[str, ...]:
    found = _texts(value)
    wanted(found and set(found) <= {*ALGORITHMS, *SECRET_ALGORITHMS})
    return found


ALGORITHM_NAMES: Final = Kind(
    f"a list of some of {', '.join((*ALGORITHMS, *SECRET_ALGORITHMS))}", _algorithms
)
