"""What a client says about itself (RFC 7591 §2), checked. Pure: no database, no request, no fetch.

The values come from anybody. A known member is checked completely and an unknown member is dropped, so no member can
set a field of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django_lazyauth.errors import InvalidClientMetadata, InvalidRedirectUri
from django_lazyauth.kit.text import has_bad_characters

from .redirects import LOOPBACK, is_safe_redirect_uri

Json = Any

AUTHENTICATION_METHODS = ("client_secret_basic", "client_secret_post", "none")
#: Grants that a self-registered client may use: none works without a person.
GRANT_TYPES = ("authorization_code", "refresh_token")
RESPONSE_TYPES = ("code",)
APPLICATION_TYPES = ("web", "native")

MAX_REDIRECT_URIS = 10
MAX_URI_LENGTH = 2048
MAX_SCOPE_LENGTH = 8 * 1024
MAX_TEXT_LENGTH = 255
MAX_CONTACTS = 10
MAX_KEYS = 20
#: Members that may come in several languages (RFC 7591 §2.2).
LOCALIZED = ("client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri")
MAX_LOCALIZED = 50
#: RFC 5646 §2.1, as far as its shape goes.
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,8}\Z")
#: RFC 6749 §3.3.
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
#: Links that must stand on a host of the client's redirect URIs, so that no client shows another site's logo.
OF_OWN_HOST = ("logo_uri", "tos_uri", "policy_uri")
#: Parameters of private keys (RFC 7518 §6); ``k`` is a shared secret.
PRIVATE_PARAMETERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class Policy:
    """What this site lets a client register.

    Attributes:
        scopes: Scopes that a client may name.
        default_scopes: Scopes of a client that names none.
        extra_schemes: Private-use schemes without a dot that the operator allowed.
        signing_algorithms: Algorithms that this site has a key for.
        allows_loopback: Whether URLs of servers may be on loopback, for development.
    """

    scopes: frozenset[str]
    default_scopes: tuple[str, ...]
    extra_schemes: frozenset[str] = frozenset()
    signing_algorithms: tuple[str, ...] = ()
    allows_loopback: bool = False


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """Metadata as it will be registered. A value may differ from the one that the client asked for."""

    members: Mapping[str, Json]

    @property
    def is_public(self) -> bool:
        return bool(self.members["token_endpoint_auth_method"] == "none")

    @property
    def digest(self) -> str:
        """The digest of the metadata. The order of the members does not matter."""
        return hashlib.sha256(json.dumps(self.members, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ReplacedMetadata:
    """The body of an update (RFC 7592 §2.2): new metadata, and the id and secret that the client claims to have."""

    metadata: ClientMetadata
    client_id: str | None
    client_secret: str | None = field(default=None, repr=False)


def parse_metadata(document: Json, policy: Policy) -> ClientMetadata:
    """Return what *document*, the parsed body of a registration, may register (RFC 7591 §3.1).

    Raises:
        InvalidRedirectUri: A redirect URI is missing or may not be registered.
        InvalidClientMetadata: Another member cannot be registered.
    """
    members = _members(document)
    redirect_uris = _redirect_uris(members, policy)
    registered: dict[str, Json] = {
        "redirect_uris": redirect_uris,
        "token_endpoint_auth_method": _choice(
            members, "token_endpoint_auth_method", AUTHENTICATION_METHODS, "client_secret_basic"
        ),
        "grant_types": _grant_types(members),
        "response_types": _choices(members, "response_types", RESPONSE_TYPES, RESPONSE_TYPES),
        "scope": _scope(members, policy),
    }
    if name := _text(members, "client_name"):
        registered["client_name"] = name
    if post_logout := _post_logout_redirect_uris(members, policy):
        registered["post_logout_redirect_uris"] = post_logout
    return ClientMetadata(
        registered | _id_token_algorithm(members, policy) | _more(members, redirect_uris, policy)
    )


def parse_replacement(document: Json, policy: Policy) -> ReplacedMetadata:
    """Return what *document* may replace a registration with. Raises like :func:`parse_metadata`."""
    members = _members(document)
    return ReplacedMetadata(
        parse_metadata(members, policy), _text(members, "client_id"), _text(members, "client_secret")
    )


def _members(document: Json) -> Mapping[str, Json]:
    if not isinstance(document, Mapping):
        raise InvalidClientMetadata("The body must be a JSON object.")
    # Common clients send null or an empty string where they have no value.
    return {name: value for name, value in document.items() if value is not None and value != ""}


# -- the parts ---------------------------------------------------------------------------------------------


def _text(members: Mapping[str, Json], name: str, limit: int = MAX_TEXT_LENGTH) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or has_bad_characters(value):
        raise InvalidClientMetadata(f"{_base(name)} must be a string.")
    if len(value) > limit:
        raise InvalidClientMetadata(f"{_base(name)} is longer than {limit} characters.")
    return value


def _base(name: str) -> str:
    return name.partition("#")[0]


def _texts(members: Mapping[str, Json], name: str, limit: int) -> list[str] | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(one, str) and not has_bad_characters(one) for one in value
    ):
        raise InvalidClientMetadata(f"{name} must be an array of strings.")
    if len(value) > limit or any(len(one) > MAX_TEXT_LENGTH for one in value):
        raise InvalidClientMetadata(f"{name} has too many or too long entries.")
    return list(dict.fromkeys(value))


def _choice(members: Mapping[str, Json], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = members.get(name, default)
    if value not in allowed:
        raise InvalidClientMetadata(f"{name} must be one of: {', '.join(allowed)}.")
    return str(value)


def _choices(
    members: Mapping[str, Json], name: str, allowed: tuple[str, ...], default: tuple[str, ...]
) -> list[str]:
    values = _texts(members, name, limit=20)
    if values is None:
        return list(default)
    if not values or not set(values) <= set(allowed):
        raise InvalidClientMetadata(f"{name} may hold: {', '.join(allowed)}.")
    return values


def _grant_types(members: Mapping[str, Json]) -> list[str]:
    # The RFC's default is authorization_code alone. Ours has refresh_token too, and the answer says so.
    values = _choices(members, "grant_types", GRANT_TYPES, GRANT_TYPES)
    if "authorization_code" not in values:
        raise InvalidClientMetadata("grant_types must hold authorization_code.")
    return values


def _scope(members: Mapping[str, Json], policy: Policy) -> str:
    asked = (_text(members, "scope", MAX_SCOPE_LENGTH) or "").split()
    if not asked:
        return " ".join(policy.default_scopes)
    if not all(SCOPE_TOKEN.match(scope) for scope in asked):
        raise InvalidClientMetadata("scope holds characters that it cannot hold.")
    known = [scope for scope in dict.fromkeys(asked) if scope in policy.scopes]
    if not known:
        raise InvalidClientMetadata("None of the scopes is known here.")
    return " ".join(known)


def _id_token_algorithm(members: Mapping[str, Json], policy: Policy) -> dict[str, Json]:
    """Return the algorithm for the client's ID tokens (OpenID Connect Registration §2)."""
    name = "id_token_signed_response_alg"
    return {name: _choice(members, name, policy.signing_algorithms, "")} if name in members else {}


def _redirect_uris(members: Mapping[str, Json], policy: Policy) -> list[str]:
    value = members.get("redirect_uris")
    if not isinstance(value, list) or not value:
        raise InvalidRedirectUri("redirect_uris must be an array of at least one URI.")
    if len(value) > MAX_REDIRECT_URIS:
        raise InvalidRedirectUri(f"More than {MAX_REDIRECT_URIS} redirect_uris.")
    if not all(_is_redirect_uri(uri, policy) for uri in value):
        raise InvalidRedirectUri(
            "A redirect URI must be absolute and without fragment: https, http on loopback, "
            "or a private-use scheme in reverse-DNS form."
        )
    return list(dict.fromkeys(value))


def _post_logout_redirect_uris(members: Mapping[str, Json], policy: Policy) -> list[str]:
    value = members.get("post_logout_redirect_uris", [])
    if not isinstance(value, list) or len(value) > MAX_REDIRECT_URIS:
        raise InvalidClientMetadata(
            f"post_logout_redirect_uris must be an array of at most {MAX_REDIRECT_URIS}."
        )
    if not all(_is_redirect_uri(uri, policy) for uri in value):
        raise InvalidClientMetadata("A post-logout redirect URI is of a kind that cannot be registered.")
    return list(dict.fromkeys(value))


def _is_redirect_uri(value: Json, policy: Policy) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= MAX_URI_LENGTH
        and is_safe_redirect_uri(value, extra_schemes=policy.extra_schemes)
    )


def _host(uri: str) -> str:
    return urlsplit(uri).hostname or ""


def _web_uri(members: Mapping[str, Json], name: str, *, schemes: tuple[str, ...] = ("https", "http")) -> str:
    value = _text(members, name, MAX_URI_LENGTH) or ""
    if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)) or not value.isascii():
        raise InvalidClientMetadata(f"{_base(name)} must be a URL ({' or '.join(schemes)}).")
    if any(character <= " " or character in '"<>\\^`{|}\x7f' for character in value) or not _has_host(value):
        raise InvalidClientMetadata(f"{_base(name)} is not a URL.")
    return value


def _has_host(uri: str) -> bool:
    """Say whether host and port make sense. Those of ``https://[`` and of port 99999 do not."""
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _more(members: Mapping[str, Json], redirect_uris: list[str], policy: Policy) -> dict[str, Json]:
    more: dict[str, Json] = {}
    for name in ("software_id", "software_version"):
        if (text := _text(members, name)) is not None:
            more[name] = text
    if (contacts := _texts(members, "contacts", MAX_CONTACTS)) is not None:
        more["contacts"] = contacts
    if "application_type" in members:
        more["application_type"] = _choice(members, "application_type", APPLICATION_TYPES, "web")
    return more | _backchannel_logout(members, policy) | _keys(members) | _localized(members, redirect_uris)


def _backchannel_logout(members: Mapping[str, Json], policy: Policy) -> dict[str, Json]:
    """Return the back-channel logout members (Back-Channel Logout §2.2). Our logout tokens always name the session."""
    found: dict[str, Json] = {}
    if "backchannel_logout_uri" in members:
        uri = _text(members, "backchannel_logout_uri", MAX_URI_LENGTH) or ""
        check_backchannel_logout_uri(uri, allows_loopback=policy.allows_loopback)
        found["backchannel_logout_uri"] = uri
    if (required := members.get("backchannel_logout_session_required")) is not None:
        if not isinstance(required, bool):
            raise InvalidClientMetadata("backchannel_logout_session_required must be true or false.")
        found["backchannel_logout_session_required"] = required
    return found


def check_backchannel_logout_uri(uri: str, *, allows_loopback: bool) -> None:
    """Check where logout tokens are sent (Back-Channel Logout §2.2). The admin checks an operator's entry with it.

    Raises:
        InvalidClientMetadata: The URI is neither https nor (for development) on loopback, or has a fragment.
    """
    is_server = uri.startswith("https://") or (allows_loopback and LOOPBACK.match(uri) is not None)
    if not is_server or len(uri) > MAX_URI_LENGTH or not is_safe_redirect_uri(uri):
        raise InvalidClientMetadata("backchannel_logout_uri must be an https URL without fragment.")


def _localized(members: Mapping[str, Json], redirect_uris: list[str]) -> dict[str, Json]:
    """Return names and links in all languages that the client sent (RFC 7591 §2.2)."""
    own_hosts = {_host(uri) for uri in redirect_uris}
    found: dict[str, Json] = {}
    for name in members:
        base, tagged, tag = name.partition("#")
        if base not in LOCALIZED or name == "client_name" or (tagged and not LANGUAGE_TAG.match(tag)):
            continue
        if base == "client_name":
            found[name] = _text(members, name)
            continue
        uri = _web_uri(members, name)
        if base not in OF_OWN_HOST or _host(uri) in own_hosts:
            found[name] = uri
    if len(found) > MAX_LOCALIZED:
        raise InvalidClientMetadata(f"More than {MAX_LOCALIZED} names and links.")
    return found


def _keys(members: Mapping[str, Json]) -> dict[str, Json]:
    """Return the client's public keys: a key set or its URL, never both (RFC 7591 §2)."""
    if "jwks" in members and "jwks_uri" in members:
        raise InvalidClientMetadata("jwks and jwks_uri exclude each other.")
    if "jwks_uri" in members:
        return {"jwks_uri": _web_uri(members, "jwks_uri", schemes=("https",))}
    if "jwks" not in members:
        return {}
    jwks = members["jwks"]
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS or not all(_is_public_key(key) for key in keys):
        raise InvalidClientMetadata(f"jwks must hold at most {MAX_KEYS} public keys.")
    return {"jwks": {"keys": [dict(key) for key in keys]}}


def _is_public_key(key: Json) -> bool:
    """Say whether *key* is a public JWK (RFC 7517 §4) of a known type, with no nested values."""
    if not isinstance(key, Mapping) or key.get("kty") not in ("RSA", "EC", "OKP"):
        return False
    if PRIVATE_PARAMETERS & set(key):
        return False
    return all(not has_bad_characters(name) and _is_flat(value) for name, value in key.items())


def _is_flat(value: Json) -> bool:
    if isinstance(value, str):
        return not has_bad_characters(value)
    if isinstance(value, list):
        return all(isinstance(one, str) and not has_bad_characters(one) for one in value)
    return isinstance(value, bool)
