"""What a client says about itself (RFC 7591 §2), checked. Pure: no database, no request, no fetch.

One parser for registrations, metadata documents (CIMD) and what operators type. It serves what both sides know and
drops the rest: unknown members, optional members with a value that cannot be used, and all but the served ones of
several grants, response types and methods. It refuses what would be unsafe, and names a redirect URI that it refuses.
The values come from anybody. No member can set a field of ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django_lazyauth.errors import InvalidClientMetadata, InvalidRedirectUri
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.toolkit.client_methods import (
    BY_KEY,
    BY_SECRET,
    METHOD_MEMBER,
    METHODS_MEMBER,
    NO_METHOD,
    has_secret_by,
    is_public_by,
)
from django_lazyauth.toolkit.client_policies import (
    ACR_MEMBER,
    BOUND_MEMBER,
    MAX_AGE_MEMBER,
    PUSH_MEMBER,
    SIGN_MEMBER,
)
from django_lazyauth.toolkit.clients import DEVICE_CODE

from .members import (
    BAD_CHARACTERS,
    MAX_REDIRECT_URIS,
    Json,
    Policy,
    base_of,
    check_redirect_uri,
    has_keys,
    host_in,
    is_redirect_uri,
    is_texts,
    optional_members,
    text_of,
    texts_of,
    usable,
)

#: Grants that a self-registered client may use: none works without a person.
GRANT_TYPES = ("authorization_code", "refresh_token")
#: The same, where devices are served to strangers.
GRANT_TYPES_WITH_DEVICES = (*GRANT_TYPES, DEVICE_CODE)
RESPONSE_TYPES = ("code",)
#: A document holds no secret: anybody can read it.
METHODS_OF_DOCUMENTS = (BY_KEY, NO_METHOD)
#: A document that holds one of these is refused (draft-ietf-oauth-client-id-metadata-document §4.1).
SECRETS = ("client_secret", "client_secret_expires_at")

#: The size of a document bounds its members. Some list one URI for each of their releases.
MAX_REDIRECT_URIS_OF_DOCUMENT = 50
MAX_SCOPE_LENGTH = 8 * 1024


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """Metadata as it will be registered. A value may differ from the one that the client asked for."""

    members: Mapping[str, Json]

    @property
    def is_public(self) -> bool:
        """Whether the client may come without credentials. It may prove itself with a key all the same."""
        return is_public_by(self.members)

    @property
    def has_secret(self) -> bool:
        return has_secret_by(self.members)

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
        InvalidClientMetadata: A member has another type than its RFC says, or nothing is left that is served.
    """
    members = _members(document)
    policy = _for_kind(members, policy)
    grant_types = _grant_types(members, policy)
    redirect_uris = _redirect_uris(members, policy, grant_types)
    registered = {
        "redirect_uris": redirect_uris,
        **_methods(
            members, policy.methods, default="client_secret_basic", is_keyed=has_keys(members, policy)
        ),
        "grant_types": grant_types,
        "response_types": _response_types(members, grant_types),
        "scope": _scope(members, policy) or " ".join(policy.default_scopes),
    }
    own_hosts = {host_in(uri) for uri in redirect_uris}
    return ClientMetadata(registered | optional_members(members, own_hosts, policy))


def parse_document(document: Json, client_id: str, policy: Policy) -> ClientMetadata:
    """Return what a client ID metadata document says, as far as it is served here.

    It is written for every server, so more is ignored than in a registration: a redirect URI that nobody may register,
    and optional members of another type. Without ``scope`` the result has none: the document bounds no scope.

    Raises:
        InvalidRedirectUri: No redirect URI is left.
        InvalidClientMetadata: It is another client's, holds a secret, or nothing is left that is served.
    """
    members = _members(document)
    if members.get("client_id") != client_id:
        raise InvalidClientMetadata("The document's client_id is not its URL.")
    if any(name in document for name in SECRETS):
        raise InvalidClientMetadata("A document must not hold client_secret or client_secret_expires_at.")
    policy = _for_kind(members, policy)
    grant_types = _grant_types(members, policy)
    redirect_uris = _usable_redirect_uris(members, policy, grant_types)
    optional = _of_right_types(members)
    registered: dict[str, Json] = {
        "redirect_uris": redirect_uris,
        **_methods(members, METHODS_OF_DOCUMENTS, default=NO_METHOD, is_keyed=has_keys(optional, policy)),
        "grant_types": grant_types,
        "response_types": _response_types(members, grant_types),
    }
    if "scope" in members:
        registered["scope"] = usable(lambda: _scope(members, policy)) or " ".join(policy.default_scopes)
    own_hosts = {host_in(uri) for uri in (client_id, *redirect_uris)}
    return ClientMetadata(registered | optional_members(optional, own_hosts, policy))


def parse_replacement(document: Json, policy: Policy) -> ReplacedMetadata:
    """Return what *document* may replace a registration with. Raises like :func:`parse_metadata`."""
    members = _members(document)
    return ReplacedMetadata(
        parse_metadata(members, policy), text_of(members, "client_id"), text_of(members, "client_secret")
    )


def check_redirect_uris(uris: list[str], policy: Policy) -> None:
    """Check what an operator types as redirect URIs or post-logout redirect URIs of a client.

    Raises:
        InvalidRedirectUri: One cannot be used. The error names it.
    """
    for uri in uris:
        check_redirect_uri(uri, policy)


def _members(document: Json) -> Mapping[str, Json]:
    if not isinstance(document, Mapping):
        raise InvalidClientMetadata("The body must be a JSON object.")
    # Common clients send null or an empty string where they have no value.
    return {name: value for name, value in document.items() if value is not None and value != ""}


def _for_kind(members: Mapping[str, Json], policy: Policy) -> Policy:
    """A client that calls itself ``web`` has no app that a scheme could open (OpenID Connect Registration §2)."""
    return replace(policy, extra_schemes=frozenset()) if members.get("application_type") == "web" else policy


def _of_right_types(members: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the members of a document without optional ones of another type, or with characters that none may hold."""
    kinds: dict[str, type] = {
        "contacts": list,
        "post_logout_redirect_uris": list,
        "jwks": Mapping,
        "backchannel_logout_session_required": bool,
        BOUND_MEMBER: bool,
        MAX_AGE_MEMBER: int,
        ACR_MEMBER: list,
        PUSH_MEMBER: bool,
        SIGN_MEMBER: bool,
    }
    return {name: value for name, value in members.items() if _is_of(kinds.get(base_of(name), str), value)}


def _is_of(kind: type, value: Json) -> bool:
    if kind is int:
        # A flag is an integer too, for Python.
        return type(value) is int
    if kind is list:
        return is_texts(value)
    return isinstance(value, kind) and not (isinstance(value, str) and has_bad_characters(value))


# -- the parts ---------------------------------------------------------------------------------------------


def _served(members: Mapping[str, Json], name: str, served: tuple[str, ...]) -> list[str]:
    """Return those of an array's values that are served here. Without the member that is all of them."""
    values = texts_of(members, name)
    if values is None:
        return list(served)
    kept = [value for value in values if value in served]
    if not kept:
        raise InvalidClientMetadata(f"{name} holds nothing that is served here: {', '.join(served)}.")
    return kept


def _methods(
    members: Mapping[str, Json], served: tuple[str, ...], *, default: str, is_keyed: bool
) -> dict[str, Json]:
    """Return how the client may authenticate: the served ones of those that it names, the preferred one first.

    Several remain where a client can do several (OpenID Connect RP Metadata Choices §2): ChatGPT names ``none`` for
    servers without keys, and sends an assertion where it can. A secret and ``none`` exclude each other, as a client
    that may leave its secret away has none.
    """
    stated = members.get(METHOD_MEMBER)
    if stated is not None and not isinstance(stated, str):
        raise InvalidClientMetadata(f"{METHOD_MEMBER} must be a string.")
    named = dict.fromkeys([*([stated] if stated else []), *(texts_of(members, METHODS_MEMBER) or [])])
    if not named and default in served:
        return {METHOD_MEMBER: default}
    kept = [method for method in named if method in served]
    if BY_KEY in kept and not is_keyed:
        kept.remove(BY_KEY)
        if not kept:
            raise InvalidClientMetadata(
                f"{METHOD_MEMBER} {BY_KEY} needs a jwks or jwks_uri that can be used."
            )
    if not kept:
        raise InvalidClientMetadata(
            f"{METHOD_MEMBER} is none that is served for this client: {', '.join(served)}."
        )
    first = next((method for method in kept if method != BY_KEY), "")
    excluded = {NO_METHOD} if first in BY_SECRET else set(BY_SECRET)
    kept = [method for method in kept if method not in excluded]
    return {METHOD_MEMBER: kept[0]} | ({METHODS_MEMBER: kept} if len(kept) > 1 else {})


def _grant_types(members: Mapping[str, Json], policy: Policy) -> list[str]:
    # The RFC's default is authorization_code alone. Ours has refresh_token too, and the answer says so.
    if "grant_types" not in members:
        return list(GRANT_TYPES)
    served = GRANT_TYPES_WITH_DEVICES if policy.serves_devices else GRANT_TYPES
    values = _served(members, "grant_types", served)
    flows = [grant for grant in served if grant != "refresh_token"]
    if not set(flows) & set(values):
        raise InvalidClientMetadata(f"grant_types must hold {' or '.join(flows)}.")
    return values


def _response_types(members: Mapping[str, Json], grant_types: list[str]) -> list[str]:
    """Return the response types: none for a client that may not ask for codes (RFC 7591 §2.1)."""
    if "authorization_code" in grant_types:
        return _served(members, "response_types", RESPONSE_TYPES)
    texts_of(members, "response_types")
    return []


def _scope(members: Mapping[str, Json], policy: Policy) -> str:
    """Return the known ones of the scopes that the client names; empty where it names none that is known."""
    value = members.get("scope", "")
    if not isinstance(value, str):
        raise InvalidClientMetadata("scope must be a string.")
    if len(value) > MAX_SCOPE_LENGTH:
        raise InvalidClientMetadata(f"scope is longer than {MAX_SCOPE_LENGTH} characters.")
    if has_bad_characters(value):
        raise InvalidClientMetadata(f"scope {BAD_CHARACTERS}")
    return " ".join(scope for scope in dict.fromkeys(value.split()) if scope in policy.scopes)


def _redirect_uris(members: Mapping[str, Json], policy: Policy, grant_types: list[str]) -> list[str]:
    """Return the redirect URIs. Only a client of devices alone needs none."""
    if "authorization_code" not in grant_types and not members.get("redirect_uris"):
        return []
    value = _listed_redirect_uris(members, MAX_REDIRECT_URIS)
    for uri in value:
        check_redirect_uri(uri, policy)
    return list(dict.fromkeys(value))


def _usable_redirect_uris(members: Mapping[str, Json], policy: Policy, grant_types: list[str]) -> list[str]:
    """Return the redirect URIs of a document that may be used."""
    if "authorization_code" not in grant_types and not members.get("redirect_uris"):
        return []
    value = _listed_redirect_uris(members, MAX_REDIRECT_URIS_OF_DOCUMENT)
    usable = [uri for uri in value if is_redirect_uri(uri, policy)]
    if not usable:
        check_redirect_uri(value[0], policy)
    return list(dict.fromkeys(usable))


def _listed_redirect_uris(members: Mapping[str, Json], limit: int) -> list[Json]:
    value = members.get("redirect_uris")
    if not isinstance(value, list) or not value:
        raise InvalidRedirectUri("redirect_uris must be an array of at least one URI.")
    if len(value) > limit:
        raise InvalidRedirectUri(f"More than {limit} redirect_uris.")
    return value
