"""Where are the keys of this provider? The one place that tells the two sources apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django_lazyauth.kit.results import Failed, Pending, Ready, Result
from django_lazyauth.kit.wait import wait_for

from . import discovery, keys
from .descriptor import ProviderDescriptor
from .discovery import DiscoveredProvider
from .domains import SsoDomain
from .keys import StoredProvider

#: Seconds that a sign-in under way waits for keys that its token needs: one fetch, as it takes at most.
RENEWAL_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """A configured provider: what it published is in the database, and never pending once it was seen."""

    descriptor: ProviderDescriptor


@dataclass(frozen=True, slots=True)
class DiscoveredKeys:
    """An SSO domain: what it published is in the cache, for two hours at most."""

    domain: SsoDomain


KeySource = StoredKeys | DiscoveredKeys


@dataclass(frozen=True, slots=True)
class Published:
    """A provider as data, with what it publishes.

    Attributes:
        name: To show, where the provider itself said it.
    """

    descriptor: ProviderDescriptor
    stored: StoredProvider
    name: str = ""


def load(source: KeySource, *, unknown_kid: bool = False, wait: bool = False) -> Result[Published]:
    """Return what *source* has, and have fetched what is missing.

    Args:
        unknown_kid: A token names a key that is not there: fetch the keys anew, once per 30 s (I15).
        wait: Rather than ``Pending`` for that, wait for it, 5 s at most.
    """
    match source:
        case StoredKeys(descriptor):
            stored = (
                keys.refresh_for_unknown_kid(descriptor) if unknown_kid else keys.load_or_fetch(descriptor)
            )
            return Failed("not_ready") if stored is None else Ready(Published(descriptor, stored))
        case DiscoveredKeys(domain):
            found = _renew(domain, wait=wait) if unknown_kid else discovery.fetch_if_due(domain)
            if isinstance(found, Ready):
                provider = found.value
                return Ready(Published(provider.descriptor, provider.published, provider.name))
            return found


def _renew(domain: SsoDomain, *, wait: bool) -> Result[DiscoveredProvider]:
    """Have the keys fetched again; ``Pending`` while that is under way."""
    discovery.fetch_if_due(domain, renew_keys=True)
    is_done = wait_for(lambda: not discovery.is_fetching_keys(domain), seconds=RENEWAL_WAIT if wait else 0)
    return discovery.peek(domain) if is_done else Pending()
