"""Sign in with the provider that a company's domain names: ``sso:{domain}``, found by discovery.

It is the OpenID provider with another source of keys and two more rules. An address of another domain is never
verified. If a domain changes its provider, the new provider cannot sign in the people of the old one (I19).

Not here: which domains are allowed, and what they publish (:mod:`django_lazyauth.openid.domains`, ``discovery``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.openid import domains, sso_discovery
from django_lazyauth.openid.descriptor import SSO_PREFIX, ProviderDescriptor
from django_lazyauth.openid.domains import DomainInvalid, SsoDomain
from django_lazyauth.openid.rules import Documents
from django_lazyauth.openid.sources import DiscoveredKeys, KeySource, Published
from django_lazyauth.openid.verify import VerifiedIdentity

from .base import Success, SyncTerms
from .openid import OpenIDProvider
from .profile import Profile


class SSOProvider(OpenIDProvider):
    """The provider of one domain.

    Raises:
        ProviderUnavailable: ``not_configured``: the domain may not sign people in.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name, config)
        self.domain = _allowed_domain(name.removeprefix(SSO_PREFIX))

    @property
    def display_name(self) -> str:
        """The domain itself. The name that a domain gives itself could be that of another company."""
        return self.domain.name

    @cached_property
    def source(self) -> KeySource:
        return DiscoveredKeys(self.domain)

    @property
    def descriptor(self) -> ProviderDescriptor:
        return self.published.descriptor

    def sync_terms(self) -> SyncTerms:
        configured = self.domain.descriptor
        return SyncTerms() if configured is None else SyncTerms.of(configured.people)

    def check(self) -> None:
        """Check nothing: the configuration comes from the domain."""

    def success(self, verified: VerifiedIdentity, documents: Documents, profile: Profile) -> Success:
        if not is_address_of(profile.email, self.domain.name):
            profile = replace(profile, email_verified=False)
        success = super().success(verified, documents, profile)
        stamped = replace(success.identity, sso_domain=self.domain.name, sso_name=self.published.name)
        return replace(success, identity=stamped)


class AskedDomain(SSOProvider):
    """The same, for an operator who tries it: asked now, past the cache, and nothing is kept."""

    @cached_property
    def published(self) -> Published:
        try:
            found = sso_discovery.ask(self.domain)
        except SourceFailed as failure:
            raise ProviderUnavailable(failure.reason, stage="keys", debug=failure.debug) from None
        return Published(found.descriptor, found.published, found.name)


def _allowed_domain(name: str) -> SsoDomain:
    try:
        # Only the normalised spelling: two provider names of one domain would be two namespaces.
        domain = domains.find(name) if domains.normalise(name) == name else None
    except DomainInvalid:
        domain = None
    if domain is None:
        raise ProviderUnavailable("not_configured")
    return domain


def is_address_of(email: str, domain: str) -> bool:
    """Say whether *email* is an address of exactly this domain; one of a subdomain is not."""
    local, separator, host = email.rpartition("@")
    try:
        return bool(local and separator) and domains.normalise(host) == domain
    except DomainInvalid:
        return False
