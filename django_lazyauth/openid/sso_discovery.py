"""How do the people of an SSO domain sign in? Two documents and a key set of that domain say so.

Hop 1 is the domain's own document, ``https://{domain}/.well-known/{SSO_DISCOVERY_PATH}``: a client id and the
address of hop 2, the metadata of an OpenID provider. For a domain that the operator configured, hop 1 is the
configuration. Each document is checked before anything of it is kept, and no client secret is kept.

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
from django_lazyauth.kit.background import Share
from django_lazyauth.kit.cached_fetch import CachedFetch, register
from django_lazyauth.kit.results import Pending, Ready, Result, SourceFailed

from . import domains, published
from .descriptor import SSO_PREFIX, DescriptorError, ProviderDescriptor, descriptor_from_settings
from .domains import SsoDomain
from .key_set import KeySet, KeySetInvalid
from .provider_kinds import ALGORITHMS, IDENTIFIER_LIMIT, SCOPE_LIMIT, SHOWN_NAME_LIMIT
from .stored_keys import ENDPOINT_INTERVAL, StoredProvider

WELL_KNOWN: Final = "/.well-known/openid-configuration"
#: Requested unless the provider says that it does not support them.
WANTED_SCOPES: Final = ("profile", "email")
OFFLINE_SCOPE: Final = "offline_access"
#: What fetches for domains take of the threads of a process: a visitor may type many whose servers are slow.
SHARE: Final = Share("SSO domains", threads=6, queue=48)


@dataclass(frozen=True, slots=True)
class DiscoveredProvider:
    """What a domain publishes about itself.

    Attributes:
        domain: Normalised.
        name: To show: the name that the domain gives itself, or the domain.
        descriptor: The provider as data; its name is ``sso:{domain}``.
        published: Its endpoints and keys.
    """

    domain: str
    name: str
    descriptor: ProviderDescriptor
    published: StoredProvider


# --- Reading ----------------------------------------------------------------------------------------------


def fetch_if_due(domain: SsoDomain, *, renew_keys: bool = False) -> Result[DiscoveredProvider]:
    """Start the fetches that are due for *domain*, and return at once what is known. Two reads of the cache.

    Args:
        renew_keys: Fetch the keys again although they are fresh, because a token names an unknown one. Once per
            30 s (I15).
    """
    found = configurations.fetch_if_due(domain.cache_key)
    if not isinstance(found, Ready):
        return found
    keys = _given_keys(domain) or key_sets.fetch_if_due(found.value["keys"], renew=renew_keys)
    return _assemble(domain, found.value, keys.value) if isinstance(keys, Ready) else keys


def ask(domain: SsoDomain) -> DiscoveredProvider:
    """Fetch what *domain* publishes now, past the cache, and keep nothing. For an operator who tries it.

    Raises:
        SourceFailed: A document, or the keys, cannot be fetched or used.
    """
    configuration = _read_configuration(domain)
    given = _given_keys(domain)
    found = _assemble(domain, configuration, given.value if given else _fetch_keys(configuration["keys"]))
    if not isinstance(found, Ready):
        raise SourceFailed("incomplete")
    return found.value


def endpoint_failed(domain: SsoDomain) -> None:
    """Fetch the documents of *domain* again because its token endpoint is not there, once in 5 min. Never waits."""
    configurations.fetch_if_due(domain.cache_key, renew=True, interval=ENDPOINT_INTERVAL.total_seconds())


def _given_keys(domain: SsoDomain) -> Ready[dict[str, Any]] | None:
    """Return the keys that the operator gave for this domain, in the form of a fetched key set."""
    descriptor = domain.descriptor
    if descriptor is None or descriptor.fetches_keys:
        return None
    return Ready({"jwks": descriptor.jwks, "fetched_at": key_sets.clock()})


def peek(domain: SsoDomain) -> Result[DiscoveredProvider]:
    """Return what is known of *domain*. Nothing is fetched and nothing is started."""
    found = configurations.peek(domain.cache_key)
    if not isinstance(found, Ready):
        return found
    keys = _given_keys(domain) or key_sets.peek(found.value["keys"])
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
    provider = StoredProvider(
        configuration["published"], keys, datetime.fromtimestamp(key_set["fetched_at"], UTC)
    )
    name = domain.display_name or configuration["name"] or domain.name
    return Ready(DiscoveredProvider(domain.name, name, descriptor, provider))


# --- Hop 1 and 2 ------------------------------------------------------------------------------------------


def _fetch_configuration(cache_key: str) -> dict[str, Any]:
    domain = domains.find(cache_key.partition(" ")[0])
    if domain is None or domain.cache_key != cache_key:
        raise SourceFailed("not_allowed")
    found = _read_configuration(domain)
    if _given_keys(domain) is None:
        # A caller that waits for the metadata needs the keys next.
        key_sets.fetch_if_due(found["keys"])
    return found


def _read_configuration(domain: SsoDomain) -> dict[str, Any]:
    """Return what is kept of both documents: how to build a descriptor, endpoints, a name."""
    if domain.descriptor is not None:
        policy, name = published.policy_of(domain.descriptor), ""
        members = _configured_metadata(published.get_document(domain.start_url, policy), domain.descriptor)
        provider: dict[str, Any] = {}
    else:
        policy = fetch.STRANGER
        client_id, metadata_url, name = _read_domain_document(
            published.get_document(domain.start_url, policy)
        )
        metadata = published.get_document(metadata_url, policy)
        issuer = _check_issuer(metadata, metadata_url)
        members, _ = published.read_metadata(metadata)
        provider = {
            "issuer": issuer,
            "client_id": client_id,
            **_scopes(metadata),
            "algorithms": _algorithms(metadata),
            "openid_configuration": metadata_url,
        }
        try:
            descriptor_from_settings(SSO_PREFIX + domain.name, provider)
        except DescriptorError:
            raise SourceFailed("incomplete") from None
    keys = _keys_of(policy, members.get("jwks_uri", ""))
    return {"name": name, "provider": provider, "published": members, "keys": keys}


def _configured_metadata(metadata: Mapping[str, Any], configured: ProviderDescriptor) -> dict[str, Any]:
    """Return what is kept of the metadata of a provider that the operator configured; its own endpoints win."""
    if metadata.get("issuer") not in configured.issuers:
        raise SourceFailed("issuer_mismatch")
    own = {name: url for name in published.ENDPOINT_MEMBERS if (url := getattr(configured, name, ""))}
    return published.read_metadata({**metadata, **own}, configured)[0]


def _read_domain_document(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return client id, address of the metadata and display name."""
    client_id, url, name = (document.get(key) for key in ("client_id", "openid_configuration", "name"))
    if not isinstance(client_id, str) or not 0 < len(client_id) <= IDENTIFIER_LIMIT:
        raise SourceFailed("client_id")
    if name is not None and (
        not isinstance(name, str) or len(name) > SHOWN_NAME_LIMIT or not name.isprintable()
    ):
        raise SourceFailed("name")
    if not isinstance(url, str) or not url.endswith(WELL_KNOWN):
        raise SourceFailed("openid_configuration")
    published.check_url(url)
    return client_id, url, name or ""


def _check_issuer(metadata: Mapping[str, Any], metadata_url: str) -> str:
    """Return the issuer. It must be the one of the metadata's URL, exactly (OpenID Connect Discovery §4, §4.3).

    A slash at its end is removed before the well-known path is added (§4.1). So the issuer may have that slash or not.
    """
    issuer = metadata.get("issuer")
    prefix = metadata_url.removesuffix(WELL_KNOWN)
    if not isinstance(issuer, str) or issuer not in (prefix, f"{prefix}/"):
        raise SourceFailed("issuer_mismatch")
    authorization_endpoint = metadata.get("authorization_endpoint")
    if not isinstance(authorization_endpoint, str):
        raise SourceFailed("incomplete")
    published.check_url(authorization_endpoint)
    # People type their password at the authorization endpoint, so it must be on the host of the issuer.
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


def _scopes(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    supported = metadata.get("scopes_supported", ["openid", "profile", "email"])
    if not isinstance(supported, list) or len(supported) > SCOPE_LIMIT:
        raise SourceFailed("scopes")
    return {
        "scopes": ["openid", *(scope for scope in WANTED_SCOPES if scope in supported)],
        "offline_scopes": [OFFLINE_SCOPE] if OFFLINE_SCOPE in supported else [],
    }


def _algorithms(metadata: Mapping[str, Any]) -> list[str]:
    supported = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    usable = [name for name in ALGORITHMS if isinstance(supported, list) and name in supported]
    if not usable:
        raise SourceFailed("alg")
    return usable


# --- Keys -------------------------------------------------------------------------------------------------


def _keys_of(policy: fetch.Policy, url: str) -> str:
    """Return the cache key of a key set. An address has no spaces; a path may."""
    return f"{'stranger' if policy.is_strict else 'operator'} {url} {policy.ca_file}"


def _fetch_keys(cache_key: str) -> dict[str, Any]:
    chosen_by, _, address = cache_key.partition(" ")
    url, _, ca_file = address.partition(" ")
    policy = fetch.Policy(is_strict=chosen_by != "operator", ca_file=ca_file)
    fetched_at = key_sets.clock()
    return {"jwks": published.get_key_set(url, policy), "fetched_at": fetched_at}


def _share(_: str) -> tuple[Share, ...]:
    return (SHARE,)


configurations: Final = register(CachedFetch("configuration", _fetch_configuration, shares=_share))
key_sets: Final = register(CachedFetch("keys", _fetch_keys, shares=_share))
