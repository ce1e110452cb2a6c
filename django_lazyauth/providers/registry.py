"""Which providers does this site have? Their names in the settings, each with its class.

The settings are read on each call. A provider that is unreachable or configured wrongly does not hide the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from django.utils.module_loading import import_string

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.openid import domains
from django_lazyauth.openid.descriptor import SSO_PREFIX, DescriptorError, read_keys, with_preset
from django_lazyauth.openid.provider_kinds import UPSTREAMS, Wrong
from django_lazyauth.openid.rules import Rule, parse

from .base import Provider

logger = logging.getLogger("django_lazyauth.providers")

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
            ``misconfigured``: its preset, type or class does not exist; the cause is the :class:`DescriptorError`.
    """
    if name.startswith(SSO_PREFIX):
        return _build(name, {"class": SSO_CLASS})
    mapping = lazyauth_settings.providers.get(name)
    if not _is_enabled(mapping):
        raise ProviderUnavailable("not_configured")
    try:
        return _build(name, mapping)
    except DescriptorError as error:
        raise ProviderUnavailable("misconfigured", debug=error.hint) from error


def is_on(name: str) -> bool:
    """Say whether *name* is configured and not disabled, or is an allowed domain."""
    if name.startswith(SSO_PREFIX):
        return domains.find(name.removeprefix(SSO_PREFIX)) is not None
    return _is_enabled(lazyauth_settings.providers.get(name))


def configured_providers() -> list[Provider]:
    """Return the enabled providers in the order of the settings, which is the order of the buttons.

    One that cannot be built is left out.
    """
    found = []
    for name, mapping in lazyauth_settings.providers.items():
        if not _is_enabled(mapping):
            continue
        try:
            found.append(_build(name, mapping))
        except DescriptorError as error:
            logger.error("%s", error)
    return found


def with_accounts_of(name: str) -> set[str]:
    """Return *name*, and the providers whose accounts are kept under it (key ``accounts_of``), also disabled ones."""
    entries = lazyauth_settings.providers.items()
    return {name} | {
        other
        for other, mapping in entries
        if isinstance(mapping, Mapping) and mapping.get("accounts_of") == name
    }


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
    issuer = _config_of(name).get("issuer", "")
    # A template, such as Microsoft's, is not one issuer.
    return issuer if isinstance(issuer, str) and "{" not in issuer else ""


def subject_rule(name: str) -> Rule:
    """Return where the subject of people of *name* is (key ``subject``)."""
    try:
        return parse(_config_of(name).get("subject", "sub"))
    except Wrong:
        return parse("sub")  # Check E008 reports it.


def _config_of(name: str) -> Mapping[str, Any]:
    """Return what is configured for *name*; nothing where it is disabled or its preset does not exist."""
    mapping = lazyauth_settings.providers.get(name)
    try:
        return with_preset(name, mapping) if _is_enabled(mapping) else {}
    except DescriptorError:
        return {}


def _is_enabled(mapping: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(mapping, Mapping) and mapping.get("enabled", True) is not False


def _build(name: str, mapping: Mapping[str, Any]) -> Provider:
    """
    Raises:
        DescriptorError: Its preset, type or class does not exist, or the password provider has a wrong key.
    """
    config = with_preset(name, mapping)
    path = config.get("class")
    if path is None:
        kind = config.get("type", "oidc")
        if kind not in UPSTREAMS:
            # An upstream reads its keys when it is used.
            kind = read_keys(name, config)["type"]
        path = PROVIDER_CLASSES[kind]
    try:
        found = import_string(path) if isinstance(path, str) else path
    except ImportError:
        found = None
    if not isinstance(found, type) or not issubclass(found, Provider):
        raise DescriptorError(name, '"class" must be a subclass of Provider or the dotted path of one')
    return found(name, config)
