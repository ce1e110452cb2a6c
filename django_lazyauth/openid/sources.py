"""Where are the keys of this provider: in the database, or in the cache?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django_lazyauth.kit.results import Failed, Pending, Ready, Result, SourceFailed
from django_lazyauth.kit.wait import wait_for

from . import sso_discovery, stored_keys
from .descriptor import ProviderDescriptor
from .domains import SsoDomain
from .sso_discovery import DiscoveredProvider
from .stored_keys import StoredProvider

#: Seconds that a sign-in waits for the keys of its token: the longest time of one fetch.
RENEWAL_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """A configured provider. Its metadata and keys are in the database, and never pending after the first fetch."""

    descriptor: ProviderDescriptor


@dataclass(frozen=True, slots=True)
class DiscoveredKeys:
    """An SSO domain. Its metadata and keys are in the cache, for two hours at most."""

    domain: SsoDomain


KeySource = StoredKeys | DiscoveredKeys


@dataclass(frozen=True, slots=True)
class Published:
    """A provider as data, with its metadata and keys.

    Attributes:
        name: To show; empty where the provider gives none.
    """

    descriptor: ProviderDescriptor
    stored: StoredProvider
    name: str = ""


def load(source: KeySource, *, refetch: bool = False, wait: bool = False) -> Result[Published]:
    """Return the metadata and keys of *source*, and start a fetch if they are missing.

    Args:
        refetch: The keys cannot verify a token: fetch them again, once per 30 s (I15).
        wait: Wait for that fetch, 5 s at most, instead of returning ``Pending``.
    """
    match source:
        case StoredKeys(descriptor):
            try:
                stored = stored_keys.refetch(descriptor) if refetch else stored_keys.load_or_fetch(descriptor)
            except SourceFailed as failure:
                return Failed(failure.reason, debug=failure.debug)
            return Failed("not_ready") if stored is None else Ready(Published(descriptor, stored))
        case DiscoveredKeys(domain):
            found = _renew(domain, wait=wait) if refetch else sso_discovery.fetch_if_due(domain)
            if isinstance(found, Ready):
                provider = found.value
                return Ready(Published(provider.descriptor, provider.published, provider.name))
            return found


def known(source: KeySource) -> StoredProvider | None:
    """Return the metadata and keys of *source* as far as they are there and believed. Never waits."""
    match source:
        case StoredKeys(descriptor):
            return stored_keys.load_believed(descriptor)
        case DiscoveredKeys():
            found = load(source)
            return found.value.stored if isinstance(found, Ready) else None


def endpoint_failed(source: KeySource) -> None:
    """Refresh the metadata in the background because its token endpoint is not there, once in 5 min. Never waits."""
    match source:
        case StoredKeys(descriptor):
            stored_keys.endpoint_failed(descriptor)
        case DiscoveredKeys(domain):
            sso_discovery.endpoint_failed(domain)


def _renew(domain: SsoDomain, *, wait: bool) -> Result[DiscoveredProvider]:
    """Start a fetch of the keys; ``Pending`` while it runs."""
    sso_discovery.fetch_if_due(domain, renew_keys=True)
    is_done = wait_for(
        lambda: not sso_discovery.is_fetching_keys(domain), seconds=RENEWAL_WAIT if wait else 0
    )
    return sso_discovery.peek(domain) if is_done else Pending()
