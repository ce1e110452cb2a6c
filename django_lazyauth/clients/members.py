"""The members of client metadata (RFC 7591 §2): texts, links, redirect URIs, keys, and what makes one unusable. Pure.

An optional member that cannot be used is dropped and not echoed.

Not here: grants, methods and scopes (``metadata``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django_lazyauth.errors import InvalidClientMetadata, InvalidRedirectUri, sayable
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.key_set import STRANGERS, KeySet, KeySetInvalid
from django_lazyauth.toolkit.client_methods import ALGORITHM_MEMBER, METHODS
from django_lazyauth.toolkit.client_policies import (
    ACR_MEMBER,
    BOUND_MEMBER,
    INTROSPECTION_MEMBER,
    MAX_AGE_MEMBER,
    PUSH_MEMBER,
    REQUEST_ALGORITHM_MEMBER,
    SIGN_MEMBER,
    USERINFO_MEMBER,
)
from django_lazyauth.users.subjects import hosts_of

from .by_key.assertion import ALGORITHMS
from .redirects import LOOPBACK, is_safe_redirect_uri

Json = Any
T = TypeVar("T")

MAX_REDIRECT_URIS = 10
MAX_URI_LENGTH = 2048
MAX_TEXT_LENGTH = 255
#: Characters of a member's value that an error names.
MAX_NAMED = 200
BAD_CHARACTERS = "holds characters that it cannot hold."


@dataclass(frozen=True, slots=True)
class Policy:
    """What this site lets a client register.

    Attributes:
        scopes: Scopes that a client may name.
        default_scopes: Scopes of a client that names none.
        extra_schemes: Private-use schemes without a dot that clients may use, unless they call themselves ``web``.
        signing_algorithms: Algorithms that this site has a key for.
        allows_loopback: Whether URLs of servers may be on loopback, for development.
        takes_signed_requests: Whether authorization requests may be signed (RFC 9101).
        subject_type: The one that this site serves (OpenID Connect Core §8).
        serves_devices: Whether a client may be one of devices without a browser (RFC 8628).
        methods: Ways in which clients may authenticate.
        client_algorithms: Algorithms that clients may sign with.
    """

    scopes: frozenset[str]
    default_scopes: tuple[str, ...]
    extra_schemes: frozenset[str] = frozenset()
    signing_algorithms: tuple[str, ...] = ()
    allows_loopback: bool = False
    takes_signed_requests: bool = False
    subject_type: str = "public"
    serves_devices: bool = False
    methods: tuple[str, ...] = METHODS
    client_algorithms: tuple[str, ...] = ALGORITHMS


class Unusable(InvalidClientMetadata):
    """The value has the right type and cannot be used. An optional member is dropped then."""


def usable(read: Callable[[], T]) -> T | None:
    """Return what *read* returns, or ``None`` where the value cannot be used."""
    try:
        return read()
    except Unusable:
        return None


def base_of(name: str) -> str:
    return name.partition("#")[0]


def text_of(members: Mapping[str, Json], name: str, limit: int = MAX_TEXT_LENGTH) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidClientMetadata(f"{base_of(name)} must be a string.")
    if has_bad_characters(value):
        raise InvalidClientMetadata(f"{base_of(name)} {BAD_CHARACTERS}")
    if len(value) > limit:
        raise Unusable(f"{base_of(name)} is longer than {limit} characters.")
    return value


def texts_of(members: Mapping[str, Json], name: str) -> list[str] | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidClientMetadata(f"{name} must be an array of strings.")
    if not is_texts(value):
        raise InvalidClientMetadata(f"{name} {BAD_CHARACTERS}")
    return list(dict.fromkeys(value))


def is_texts(value: Json) -> bool:
    """Say whether *value* is an array of strings that hold no bad characters."""
    return isinstance(value, list) and all(
        isinstance(one, str) and not has_bad_characters(one) for one in value
    )


def check_redirect_uri(uri: Json, policy: Policy) -> None:
    if not is_redirect_uri(uri, policy):
        raise InvalidRedirectUri(
            f"This redirect URI cannot be used: {_named(uri)}. It must be absolute and without fragment: https, http "
            "on loopback, or an app's scheme that is allowed here or in reverse-DNS form."
        )


def check_sector(uris: list[str], policy: Policy) -> None:
    """Check that the redirect URIs of a client have one host where people have other subjects at another host.

    Raises:
        InvalidClientMetadata: They have several (OpenID Connect Core §8.1).
    """
    if policy.subject_type == "pairwise" and len(hosts_of(uris)) > 1:
        raise InvalidClientMetadata("The redirect_uris must have one host: people have a subject for each.")


def is_redirect_uri(value: Json, policy: Policy) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= MAX_URI_LENGTH
        and is_safe_redirect_uri(value, extra_schemes=policy.extra_schemes)
    )


def _named(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return sayable(text[:MAX_NAMED])


def host_in(uri: str) -> str:
    return urlsplit(uri).hostname or ""


def web_uri(members: Mapping[str, Json], name: str, *, schemes: tuple[str, ...] = ("https", "http")) -> str:
    value = text_of(members, name, MAX_URI_LENGTH) or ""
    if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)) or not value.isascii():
        raise Unusable(f"{base_of(name)} must be a URL ({' or '.join(schemes)}).")
    if any(character <= " " or character in '"<>\\^`{|}\x7f' for character in value) or not _has_host(value):
        raise Unusable(f"{base_of(name)} is not a URL.")
    return value


def _has_host(uri: str) -> bool:
    """Say whether host and port make sense. Those of ``https://[`` and of port 99999 do not."""
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


# -- optional members ------------------------------------------------------------------------------------------

APPLICATION_TYPES = ("web", "native")
MAX_CONTACTS = 10
MAX_KEYS = 20
#: Members that may come in several languages (RFC 7591 §2.2).
LOCALIZED = ("client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri")
MAX_LOCALIZED = 50
#: RFC 5646 §2.1, as far as its shape goes.
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,8}\Z")
#: Links that must stand on a host of the client's redirect URIs, so that no client shows another site's logo.
OF_OWN_HOST = ("logo_uri", "tos_uri", "policy_uri")
KEY_TYPES = ("RSA", "EC", "OKP")
#: Parameters of private keys (RFC 7518 §6); ``k`` is a shared secret.
PRIVATE_PARAMETERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
#: Seconds, as many as a request may name.
MAX_AGES = range(10**9)
MAX_ACR_VALUES = 10
#: OpenID Connect Core §8. A site serves one of them.
SUBJECT_TYPES = ("public", "pairwise")
#: One value of ``acr``, which stands in a list with blanks, and in quotes in a challenge.
ACR_VALUE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


def optional_members(members: Mapping[str, Json], own_hosts: set[str], policy: Policy) -> dict[str, Json]:
    parts: dict[str, Callable[[], Json]] = {
        "client_name": lambda: text_of(members, "client_name"),
        "software_id": lambda: text_of(members, "software_id"),
        "software_version": lambda: text_of(members, "software_version"),
        "contacts": lambda: _contacts(members),
        "application_type": lambda: _one_of(members, "application_type", APPLICATION_TYPES),
        **{
            name: partial(_one_of, members, name, policy.signing_algorithms)
            for name in ("id_token_signed_response_alg", USERINFO_MEMBER, INTROSPECTION_MEMBER)
        },
        ALGORITHM_MEMBER: lambda: _one_of(members, ALGORITHM_MEMBER, policy.client_algorithms),
        "subject_type": lambda: _one_of(members, "subject_type", (policy.subject_type,)),
        BOUND_MEMBER: lambda: _flag(members, BOUND_MEMBER),
        MAX_AGE_MEMBER: lambda: _max_age(members),
        ACR_MEMBER: lambda: acr_values(members),
        "post_logout_redirect_uris": lambda: _post_logout_redirect_uris(members, policy),
        "backchannel_logout_uri": lambda: _backchannel_logout_uri(members, policy),
        "backchannel_logout_session_required": lambda: _flag(members, "backchannel_logout_session_required"),
        PUSH_MEMBER: lambda: _flag(members, PUSH_MEMBER),
    }
    if policy.takes_signed_requests and has_keys(members, policy):
        parts |= {
            REQUEST_ALGORITHM_MEMBER: lambda: _one_of(
                members, REQUEST_ALGORITHM_MEMBER, policy.client_algorithms
            ),
            SIGN_MEMBER: lambda: _flag(members, SIGN_MEMBER),
        }
    found = {name: usable(read) for name, read in parts.items()}
    return (
        {name: value for name, value in found.items() if value is not None and value != []}
        | (usable(lambda: public_keys(members, policy)) or {})
        | _localized(members, own_hosts)
    )


def _one_of(members: Mapping[str, Json], name: str, allowed: tuple[str, ...]) -> str | None:
    value = text_of(members, name)
    if value is not None and value not in allowed:
        raise Unusable(f"{name} must be one of: {', '.join(allowed)}.")
    return value


def _contacts(members: Mapping[str, Json]) -> list[str] | None:
    contacts = texts_of(members, "contacts")
    if contacts is not None and (
        len(contacts) > MAX_CONTACTS or any(len(one) > MAX_TEXT_LENGTH for one in contacts)
    ):
        raise Unusable("contacts has too many or too long entries.")
    return contacts


def _post_logout_redirect_uris(members: Mapping[str, Json], policy: Policy) -> list[str] | None:
    """Return those that may be used. A logout that names another one ends at our own page."""
    uris = texts_of(members, "post_logout_redirect_uris")
    return None if uris is None else [uri for uri in uris if is_redirect_uri(uri, policy)][:MAX_REDIRECT_URIS]


def _backchannel_logout_uri(members: Mapping[str, Json], policy: Policy) -> str | None:
    uri = text_of(members, "backchannel_logout_uri", MAX_URI_LENGTH)
    if uri is not None:
        check_backchannel_logout_uri(uri, allows_loopback=policy.allows_loopback)
    return uri


def _flag(members: Mapping[str, Json], name: str) -> bool | None:
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidClientMetadata(f"{name} must be true or false.")
    return value


def _max_age(members: Mapping[str, Json]) -> int | None:
    """Return the seconds that a sign-in counts for (OpenID Connect Registration §2)."""
    seconds = members.get(MAX_AGE_MEMBER)
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise InvalidClientMetadata(f"{MAX_AGE_MEMBER} must be a number of seconds.")
    if seconds not in MAX_AGES:
        raise Unusable(f"{MAX_AGE_MEMBER} must be between 0 and {MAX_AGES[-1]} seconds.")
    return seconds


def acr_values(members: Mapping[str, Json]) -> list[str] | None:
    """Return the authentication classes that a request would list with blanks between them (OIDC Core §3.1.2.1).

    The admin checks an operator's entry with it.

    Raises:
        InvalidClientMetadata: They are no such list, or too many.
    """
    values = texts_of(members, ACR_MEMBER)
    if values is not None and (len(values) > MAX_ACR_VALUES or not all(map(ACR_VALUE.fullmatch, values))):
        raise Unusable(f"{ACR_MEMBER} must hold at most {MAX_ACR_VALUES} values without blanks.")
    return values


def check_backchannel_logout_uri(uri: str, *, allows_loopback: bool) -> None:
    """Check where logout tokens are sent (Back-Channel Logout §2.2). The admin checks an operator's entry with it.

    Raises:
        InvalidClientMetadata: The URI is neither https nor (for development) on loopback, or has a fragment.
    """
    is_server = uri.startswith("https://") or (allows_loopback and LOOPBACK.match(uri) is not None)
    if not is_server or len(uri) > MAX_URI_LENGTH or not is_safe_redirect_uri(uri):
        raise Unusable("backchannel_logout_uri must be an https URL without fragment.")


def _localized(members: Mapping[str, Json], own_hosts: set[str]) -> dict[str, Json]:
    """Return names and links in all languages that the client sent (RFC 7591 §2.2)."""
    found: dict[str, Json] = {}
    for name in members:
        base, tagged, tag = name.partition("#")
        if base not in LOCALIZED or name == "client_name" or (tagged and not LANGUAGE_TAG.match(tag)):
            continue
        value = usable(partial(text_of if base == "client_name" else web_uri, members, name))
        if value is not None and (base not in OF_OWN_HOST or host_in(value) in own_hosts):
            found[name] = value
    if len(found) > MAX_LOCALIZED:
        raise InvalidClientMetadata(f"More than {MAX_LOCALIZED} names and links.")
    return found


def public_keys(members: Mapping[str, Json], policy: Policy) -> dict[str, Json]:
    """Return the client's public keys: a key set or its URL, never both (RFC 7591 §2).

    Raises:
        InvalidClientMetadata: Both, or what must not be published.
        Unusable: A key set that assertions cannot be checked with, or a URL that is not fetched.
    """
    if "jwks" in members and "jwks_uri" in members:
        raise InvalidClientMetadata("jwks and jwks_uri exclude each other.")
    if "jwks_uri" in members:
        uri = text_of(members, "jwks_uri", MAX_URI_LENGTH) or ""
        schemes = ("http", "https") if policy.allows_loopback and LOOPBACK.match(uri) else ("https",)
        uri = web_uri(members, "jwks_uri", schemes=schemes)
        if "@" in urlsplit(uri).netloc or "#" in uri:
            raise Unusable("jwks_uri must hold no user and no fragment.")
        return {"jwks_uri": uri}
    if "jwks" not in members:
        return {}
    jwks = members["jwks"]
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list):
        raise InvalidClientMetadata("jwks must be a key set.")
    if any(isinstance(key, Mapping) and PRIVATE_PARAMETERS & set(key) for key in keys):
        # The client must learn that it sent a secret to a server which has no use for it.
        raise InvalidClientMetadata("jwks holds a private or shared key.")
    if not all(map(_is_key, keys)):
        raise InvalidClientMetadata("jwks must hold keys, with no nested values.")
    if len(keys) > MAX_KEYS or any(key.get("kty") not in KEY_TYPES for key in keys):
        raise Unusable(f"jwks must hold at most {MAX_KEYS} keys of known types.")
    return {"jwks": {"keys": [dict(key) for key in keys]}}


def has_keys(members: Mapping[str, Json], policy: Policy) -> bool:
    """Say whether assertions of the client can be checked: with one of its keys, or with those at its address."""
    found = usable(lambda: public_keys(members, policy)) or {}
    try:
        return "jwks_uri" in found or len(KeySet.from_jwks(found.get("jwks"), STRANGERS)) > 0
    except KeySetInvalid:
        return False


def _is_key(key: Json) -> bool:
    """Say whether *key* has the form of a JWK (RFC 7517 §4)."""
    return isinstance(key, Mapping) and all(
        not has_bad_characters(name) and _is_flat(value) for name, value in key.items()
    )


def _is_flat(value: Json) -> bool:
    if isinstance(value, str):
        return not has_bad_characters(value)
    return is_texts(value) or isinstance(value, bool)
