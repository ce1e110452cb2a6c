"""What does an SSO domain say about how its people sign in? Two documents and a key set, each fetched once.

Hop 1 is the domain's own document, ``https://{domain}/.well-known/{SSO_DISCOVERY_PATH}``: a client id and the
address of hop 2, the metadata of an OpenID provider. For a domain that the operator configured, hop 1 is the
configuration. Each document is judged before anything of it is kept, and no client secret is kept at all.

Not here: which domains are allowed (:mod:`.domains`), and how often something is fetched
(:mod:`django_lazyauth.kit.cached_fetch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from django_lazyauth.kit import fetch
from django_lazyauth.kit.cached_fetch import CachedFetch, SourceFailed, register
from django_lazyauth.kit.results import Pending, Ready, Result

from . import domains
from .descriptor import (
    ALGORITHMS,
    IDENTIFIER_LIMIT,
    SCOPE_LIMIT,
    SSO_PREFIX,
    DescriptorError,
    ProviderDescriptor,
    descriptor_from_settings,
)
from .domains import SsoDomain
from .key_document import RefreshFailed, public_key_set
from .keys import ENDPOINT_MEMBERS, ISS_MEMBER, REQUIRED_MEMBERS, StoredProvider
from .verify import NAME_LIMIT, IdTokenRejected, KeySet, KeySetInvalid, check_clean

WELL_KNOWN: Final = "/.well-known/openid-configuration"
#: Asked for where the provider does not say that it lacks them.
WANTED_SCOPES: Final = ("profile", "email", "offline_access")


@dataclass(frozen=True, slots=True)
class DiscoveredProvider:
    """What a domain said about itself.

    Attributes:
        domain: Normalised.
        name: To show: the domain's own word for itself, or the domain.
        descriptor: The provider as data; its name is ``sso:{domain}``.
        published: Its endpoints and keys.
    """

    domain: str
    name: str
    descriptor: ProviderDescriptor
    published: StoredProvider


# --- Reading ----------------------------------------------------------------------------------------------


def fetch_if_due(domain: SsoDomain, *, renew_keys: bool = False) -> Result[DiscoveredProvider]:
    """Start whatever flight is due for *domain*, and return at once with what there is. Two reads of the cache.

    Args:
        renew_keys: Fetch the keys again although they are fresh: a token names one that we lack. Once per
            30 s (I15).
    """
    found = configurations.fetch_if_due(domain.cache_key)
    if not isinstance(found, Ready):
        return found
    keys = key_sets.fetch_if_due(found.value["keys"], renew=renew_keys)
    return _assemble(domain, found.value, keys.value) if isinstance(keys, Ready) else keys


def peek(domain: SsoDomain) -> Result[DiscoveredProvider]:
    """Return what is known of *domain*. Nothing is fetched and nothing is started."""
    found = configurations.peek(domain.cache_key)
    if not isinstance(found, Ready):
        return found
    keys = key_sets.peek(found.value["keys"])
    if not isinstance(keys, Ready):
        return keys
    return _assemble(domain, found.value, keys.value)


def is_fetching_keys(domain: SsoDomain) -> bool:
    """Say whether the keys of *domain* are being fetched now."""
    found = configurations.peek(domain.cache_key)
    return isinstance(found, Ready) and key_sets.is_fetching(found.value["keys"])


def _assemble(
    domain: SsoDomain, configuration: Mapping[str, Any], key_set: Mapping[str, Any]
) -> Result[DiscoveredProvider]:
    try:
        descriptor = domain.descriptor or replace(
            descriptor_from_settings(SSO_PREFIX + domain.name, configuration["provider"]),
            is_discovered=True,
        )
        keys = KeySet.from_jwks(key_set["jwks"])
    except (DescriptorError, KeySetInvalid, KeyError, TypeError):
        # Written by another version of this app.
        return Pending()
    published = StoredProvider(
        configuration["published"], keys, datetime.fromtimestamp(key_set["fetched_at"], UTC)
    )
    name = domain.display_name or configuration["name"] or domain.name
    return Ready(DiscoveredProvider(domain.name, name, descriptor, published))


# --- Hop 1 and 2 ------------------------------------------------------------------------------------------


def _fetch_configuration(cache_key: str) -> dict[str, Any]:
    """Return what is kept of both documents: how to build a descriptor, endpoints, a name."""
    domain = domains.find(cache_key.partition(" ")[0])
    if domain is None or domain.cache_key != cache_key:
        raise SourceFailed("not_allowed")
    if domain.descriptor is not None:
        policy, name = fetch.OPERATOR, ""
        published = _published(_document(domain.start_url, policy), domain.descriptor)
        provider: dict[str, Any] = {}
    else:
        policy = fetch.STRANGER
        client_id, metadata_url, name = _read_domain_document(_document(domain.start_url, policy))
        metadata = _document(metadata_url, policy)
        issuer = _check_issuer(metadata, metadata_url)
        published = _published(metadata, None)
        provider = {
            "issuer": issuer,
            "client_id": client_id,
            "scopes": _scopes(metadata),
            "algorithms": _algorithms(metadata),
            "openid_configuration": metadata_url,
        }
        try:
            descriptor_from_settings(SSO_PREFIX + domain.name, provider)
        except DescriptorError:
            raise SourceFailed("incomplete") from None
    keys = f"{policy.value} {published['jwks_uri']}"
    # The next flight of the same journey: whoever waits for this one waits for that one too.
    key_sets.fetch_if_due(keys)
    return {"name": name, "provider": provider, "published": published, "keys": keys}


def _document(url: str, policy: fetch.Policy) -> dict[str, Any]:
    try:
        response = fetch.get(url, policy=policy, headers={"Accept": "application/json"})
        if not response.ok:
            raise SourceFailed("status")
        document = response.json_object()
        check_clean(document)
    except fetch.FetchError as error:
        raise SourceFailed(error.reason) from None
    except IdTokenRejected as error:
        raise SourceFailed(error.reason) from None
    return document


def _read_domain_document(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return client id, address of the metadata and display name."""
    client_id, url, name = (document.get(key) for key in ("client_id", "openid_configuration", "name"))
    if not isinstance(client_id, str) or not 0 < len(client_id) <= IDENTIFIER_LIMIT:
        raise SourceFailed("client_id")
    if name is not None and (not isinstance(name, str) or len(name) > NAME_LIMIT or not name.isprintable()):
        raise SourceFailed("name")
    if not isinstance(url, str) or not url.endswith(WELL_KNOWN):
        raise SourceFailed("openid_configuration")
    _check_url(url)
    return client_id, url, name or ""


def _check_issuer(metadata: Mapping[str, Any], metadata_url: str) -> str:
    """Return the issuer: the one that the address stands for (OpenID Connect Discovery §4, §4.3), exactly.

    A slash at its end is removed before the well-known path is added (§4.1), so the address stands for the issuer
    with it and for the one without.
    """
    issuer = metadata.get("issuer")
    prefix = metadata_url.removesuffix(WELL_KNOWN)
    if not isinstance(issuer, str) or issuer not in (prefix, f"{prefix}/"):
        raise SourceFailed("issuer_mismatch")
    authorization_endpoint = metadata.get("authorization_endpoint")
    if not isinstance(authorization_endpoint, str):
        raise SourceFailed("incomplete")
    _check_url(authorization_endpoint)
    # Whoever controls the issuer's host controls where people type their password.
    if _authority(authorization_endpoint) != _authority(metadata_url):
        raise SourceFailed("authority_mismatch")
    return issuer


def _authority(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or {"https": 443, "http": 80}[parts.scheme],
    )


def _published(metadata: Mapping[str, Any], configured: ProviderDescriptor | None) -> dict[str, Any]:
    """Return the members of the metadata that are used; every address is one that could be fetched."""
    if configured is not None and metadata.get("issuer") != configured.issuer:
        raise SourceFailed("issuer_mismatch")
    found: dict[str, Any] = {ISS_MEMBER: metadata.get(ISS_MEMBER) is True}
    for name in ENDPOINT_MEMBERS:
        url = getattr(configured, name, "") or metadata.get(name)
        if url is None:
            if name in REQUIRED_MEMBERS:
                raise SourceFailed("incomplete")
            continue
        _check_url(url)
        found[name] = url
    return found


def _check_url(url: object) -> None:
    try:
        fetch.check_url(url)  # type: ignore[arg-type]  # it refuses what is not a string
    except fetch.FetchError:
        raise SourceFailed("endpoint") from None


def _scopes(metadata: Mapping[str, Any]) -> list[str]:
    supported = metadata.get("scopes_supported", ["openid", "profile", "email"])
    if not isinstance(supported, list) or len(supported) > SCOPE_LIMIT:
        raise SourceFailed("scopes")
    return ["openid", *(scope for scope in WANTED_SCOPES if scope in supported)]


def _algorithms(metadata: Mapping[str, Any]) -> list[str]:
    supported = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    usable = [name for name in ALGORITHMS if isinstance(supported, list) and name in supported]
    if not usable:
        raise SourceFailed("alg")
    return usable


# --- Keys -------------------------------------------------------------------------------------------------


def _fetch_keys(cache_key: str) -> dict[str, Any]:
    chosen_by, _, url = cache_key.partition(" ")
    fetched_at = key_sets.clock()
    try:
        response = fetch.get(
            url,
            policy=fetch.Policy(chosen_by),
            max_bytes=fetch.KEY_SET_LIMIT,
            headers={"Accept": "application/json"},
        )
        return {"jwks": public_key_set(response), "fetched_at": fetched_at}
    except (fetch.FetchError, RefreshFailed) as error:
        raise SourceFailed(error.reason) from None


configurations: Final = register(CachedFetch("configuration", _fetch_configuration))
key_sets: Final = register(CachedFetch("keys", _fetch_keys))
