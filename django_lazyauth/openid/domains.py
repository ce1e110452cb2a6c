"""Which SSO domain does a text name, and may it sign people in here?

A domain has one spelling: lower case, IDNA A-labels. Each name of a domain is normalised first, so two names of one
domain are equal texts.

Not here: network and cache.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import idna
from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.conf import Refused, lazyauth_settings, sso_document
from django_lazyauth.errors import LazyAuthError

from .descriptor import SSO_PREFIX, DescriptorError, ProviderDescriptor, descriptor_from_settings, with_preset

logger = logging.getLogger("django_lazyauth.openid")

#: Characters of a domain, and of the text that a person typed for it.
DOMAIN_LIMIT: Final = 253
TYPED_LIMIT: Final = 512

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: At least two labels. Some parsers read a last label that begins with a digit as an address (WHATWG URL §3.5).
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")


class DomainInvalid(LazyAuthError):
    """Not the name of a domain."""


@dataclass(frozen=True, slots=True)
class SsoDomain:
    """A domain that may sign its people in.

    Attributes:
        name: Normalised.
        start_url: Where discovery begins: the domain's own document, or its provider's metadata.
        descriptor: Configured by the operator; ``None`` where the domain's own document is used.
        display_name: Configured by the operator; empty where the document may give one.
    """

    name: str
    start_url: str
    descriptor: ProviderDescriptor | None
    display_name: str = ""

    @property
    def cache_key(self) -> str:
        """Changes with the configuration, so nothing is read that was discovered under an earlier one."""
        return f"{self.name} {self.start_url}"


def normalise(text: str) -> str:
    """Return *text* as a domain in its one spelling (RFC 5891, UTS #46 non-transitional).

    Raises:
        DomainInvalid: A port, a path, userinfo, an address, one label only, or too long.
    """
    typed = text.strip()
    if not typed or len(typed) > TYPED_LIMIT:
        raise DomainInvalid
    try:
        # The standard library has IDNA 2003, in which "straße.example" is another domain.
        domain = idna.encode(typed, uts46=True, std3_rules=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        raise DomainInvalid from None
    if len(domain) > DOMAIN_LIMIT or not _DOMAIN.fullmatch(domain):
        raise DomainInvalid
    return domain


def is_enabled() -> bool:
    """Say whether any domain may sign people in; otherwise no page asks for a domain."""
    return bool(lazyauth_settings.sso_allowed_domains) or bool(lazyauth_settings.sso_domains)


def find(domain: str) -> SsoDomain | None:
    """Return the normalised *domain* if it may sign people in, else ``None``.

    A domain that the operator configured is allowed.
    """
    config = _configured().get(domain)
    if config is None and not _is_allowed(domain):
        return None
    try:
        return _describe(domain, config or {})
    except DescriptorError as error:
        logger.error("SSO domain %s: %s", domain, error.hint)
        return None


def _configured() -> dict[str, Mapping[str, Any]]:
    found = {}
    for name, config in lazyauth_settings.sso_domains.items():
        try:
            found[normalise(name)] = config
        except DomainInvalid:
            continue  # manage.py check names it
    return found


def _is_allowed(domain: str) -> bool:
    allowed = lazyauth_settings.sso_allowed_domains
    if callable(allowed):
        try:
            return allowed(domain) is True
        except Exception as error:  # noqa: BLE001 - a host's own code may raise anything; the domain is refused then.
            logger.error('LAZYAUTH["SSO_ALLOWED_DOMAINS"] raised %s', type(error).__name__)
            return False
    for name in allowed:
        try:
            if normalise(name) == domain:
                return True
        except DomainInvalid:
            continue
    return False


def _describe(domain: str, config: Mapping[str, Any]) -> SsoDomain:
    """
    Raises:
        DescriptorError: What is configured for the domain cannot be used.
    """
    name = SSO_PREFIX + domain
    config = with_preset(name, config)
    if "issuer" not in config:
        try:
            document = sso_document(domain, config)
        except Refused as refused:
            raise DescriptorError(name, f"{refused} {refused.hint}") from None
        url = document.discovery_url or f"https://{domain}/.well-known/{lazyauth_settings.sso_discovery_path}"
        return SsoDomain(domain, url, None, document.display_name)
    if config.get("type", "oidc") != "oidc":
        raise DescriptorError(name, '"type" must be "oidc"')
    descriptor = descriptor_from_settings(name, config)
    if descriptor.placeholders:
        raise DescriptorError(name, '"issuer" of a domain has no placeholders')
    return SsoDomain(domain, descriptor.configuration_url, descriptor, config.get("display_name", ""))


def check_configuration() -> list[str]:
    """Return the errors in the SSO settings, without values that could be secret."""
    complaints = []
    allowed = lazyauth_settings.sso_allowed_domains
    for name in [*(() if callable(allowed) else allowed), *lazyauth_settings.sso_domains]:
        try:
            normalise(name)
        except DomainInvalid:
            complaints.append(f"{name!r} is not a domain.")
    for domain, config in _configured().items():
        try:
            _describe(domain, config)
        except (DescriptorError, ImproperlyConfigured) as error:
            complaints.append(str(error))
    return complaints
