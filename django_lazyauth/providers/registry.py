"""Which providers does this site have? Their names in the settings, each with its class.

The settings are read on each call. A provider that is unreachable or configured wrongly does not hide the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.openid import domains
from django_lazyauth.openid.descriptor import SSO_PREFIX, DescriptorError, with_preset

from .base import Provider

#: Value of ``type`` → class. Named by path, so that a site imports only what it uses.
PROVIDER_CLASSES: Final[Mapping[str, str]] = {
    "oidc": "django_lazyauth.providers.openid.OpenIDProvider",
    "oauth2": "django_lazyauth.providers.oauth2.OAuth2Provider",
    "password": "django_lazyauth.providers.password.PasswordProvider",
}

SSO_CLASS: Final = "django_lazyauth.providers.sso.SSOProvider"


def get_provider(name: str) -> Provider:
    """Return the provider that the settings call *name*, or that of an SSO domain (``sso:corp.example``).

    Raises:
        ProviderUnavailable: ``not_configured``: unknown, ``"enabled": False``, or a domain that is not allowed.
        ImproperlyConfigured: Its preset, type or class does not exist.
    """
    if name.startswith(SSO_PREFIX):
        return _build(name, {"class": SSO_CLASS})
    mapping = lazyauth_settings.providers.get(name)
    if not _is_enabled(mapping):
        raise ProviderUnavailable("not_configured")
    return _build(name, mapping)


def is_on(name: str) -> bool:
    """Say whether *name* is configured and not disabled, or is an allowed domain."""
    if name.startswith(SSO_PREFIX):
        return domains.find(name.removeprefix(SSO_PREFIX)) is not None
    return _is_enabled(lazyauth_settings.providers.get(name))


def configured_providers() -> list[Provider]:
    """Return the enabled providers in the order of the settings, which is the order of the buttons."""
    configured = lazyauth_settings.providers.items()
    return [_build(name, mapping) for name, mapping in configured if _is_enabled(mapping)]


def upstream_types() -> dict[str, str]:
    """Return the enabled upstream providers, each with its protocol: ``oidc`` or ``oauth2``."""
    types = {}
    for name, mapping in lazyauth_settings.providers.items():
        if not _is_enabled(mapping):
            continue
        try:
            config = with_preset(name, mapping)
        except DescriptorError:
            continue  # Check E008 reports it.
        kind = config.get("type", "oidc")
        if kind in ("oidc", "oauth2"):
            types[name] = kind
    return types


def configured_issuer(name: str) -> str:
    """Return the OpenID issuer of *name* in the settings; empty where it has none or a template."""
    mapping = lazyauth_settings.providers.get(name)
    try:
        config = with_preset(name, mapping) if _is_enabled(mapping) else {}
    except DescriptorError:
        config = {}
    issuer = config.get("issuer", "")
    # A template, such as Microsoft's, is not one issuer.
    return issuer if isinstance(issuer, str) and "{" not in issuer else ""


def subject_claim(name: str) -> str:
    """Return the claim whose value is the subject of people of *name* (see ``openid/descriptor``)."""
    mapping = lazyauth_settings.providers.get(name)
    try:
        config = with_preset(name, mapping) if _is_enabled(mapping) else {}
    except DescriptorError:
        config = {}
    claims = config.get("claims")
    named = claims.get("subject", "sub") if isinstance(claims, Mapping) else "sub"
    return named if config.get("type") == "oauth2" and isinstance(named, str) else "sub"


def _is_enabled(mapping: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(mapping, Mapping) and mapping.get("enabled", True) is not False


def _build(name: str, mapping: Mapping[str, Any]) -> Provider:
    try:
        config = with_preset(name, mapping)
    except DescriptorError as error:
        raise ImproperlyConfigured(f'LAZYAUTH["PROVIDERS"]: {error}') from None
    return _provider_class(name, config)(name, config)


def _provider_class(name: str, config: Mapping[str, Any]) -> type[Provider]:
    path = config.get("class") or PROVIDER_CLASSES.get(config.get("type", "oidc"))
    try:
        found = import_string(path) if isinstance(path, str) else path
    except ImportError:
        found = None
    if not isinstance(found, type) or not issubclass(found, Provider):
        raise ImproperlyConfigured(f'LAZYAUTH["PROVIDERS"][{name!r}]: no such "type" or "class".')
    return found
