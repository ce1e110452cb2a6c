"""Which provider does an e-mail address or a domain lead to, and what is known of it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django_lazyauth.kit.results import Failed, Pending, Ready
from django_lazyauth.openid import domains, sso_discovery
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.openid.domains import DomainInvalid, SsoDomain


@dataclass(frozen=True, slots=True)
class DomainState:
    """The state of a domain, as the API may return it.

    Attributes:
        retry_after: Seconds, for ``pending`` and ``failed``.
    """

    state: Literal["resolved", "pending", "not_allowed", "failed"]
    domain: str = ""
    name: str = ""
    issuer: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    reason: str = ""
    retry_after: int = 0


def is_offered() -> bool:
    """Say whether a page should ask for a domain."""
    return domains.is_enabled()


def provider_name_of(typed: str) -> str:
    """Return the name of the provider that an e-mail address or domain leads to; empty where there is none."""
    domain = _allowed(typed)
    return SSO_PREFIX + domain.name if domain else ""


def discover(name: str) -> None:
    """Start the discovery of a domain. Domains that are not on the allowlist are ignored."""
    domain = _find(name)
    if domain is not None:
        sso_discovery.fetch_if_due(domain)


def state_of(name: str) -> DomainState:
    """Return what is known of a domain; nothing is fetched."""
    domain = _find(name)
    if domain is None:
        return DomainState("not_allowed")
    match sso_discovery.peek(domain):
        case Ready(found):
            return DomainState(
                "resolved",
                domain.name,
                name=found.name,
                issuer=found.descriptor.issuer,
                client_id=found.descriptor.client_id,
                scopes=found.descriptor.scopes,
            )
        case Pending(retry_after):
            return DomainState("pending", domain.name, retry_after=retry_after)
        case Failed(reason, retry_after):
            return DomainState("failed", domain.name, reason=reason, retry_after=retry_after)


def _allowed(typed: str) -> SsoDomain | None:
    return _find(typed.strip().rpartition("@")[2])


def _find(name: str) -> SsoDomain | None:
    try:
        return domains.find(domains.normalise(name))
    except DomainInvalid:
        return None
