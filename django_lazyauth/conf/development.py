"""Is this a developer's own machine? Then keys are made and mail is printed, so that nothing else has to be set."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .table import lazyauth_settings


def is_development() -> bool:
    """Say whether ``DEBUG`` is on and the issuer is ``http`` on loopback, where nobody else comes in."""
    if not settings.DEBUG:
        return False
    try:
        return lazyauth_settings.issuer_is_loopback
    except ImproperlyConfigured:
        return False  # The checks report the issuer.


def prints_mail() -> bool:
    """Say whether mail is printed on the console: in development, where the site names no mail backend."""
    # Django 6.1 has MAILERS, and warns about reading EMAIL_BACKEND where the host has not set it.
    is_named = bool(getattr(settings, "MAILERS", None)) or settings.is_overridden("EMAIL_BACKEND")  # type: ignore[misc]  # the stubs know no method of it
    return not is_named and is_development()
