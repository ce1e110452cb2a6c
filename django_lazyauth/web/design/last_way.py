"""The way to sign in that somebody used last in this browser: a cookie with the name of a provider, and no more.

It stands first and says so. It opens nothing: whoever changes it changes the order of their own page.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.openid.descriptor import PROVIDER_NAME, SSO_NAME_LIMIT
from django_lazyauth.providers.base import Provider

LIFETIME: Final = timedelta(days=365)


def _name() -> str:
    is_plain = settings.DEBUG and lazyauth_settings.issuer_is_loopback
    return "lazyauth_way" if is_plain else "__Host-lazyauth_way"


def last_way(request: HttpRequest) -> str:
    """Return the name of the provider that this browser signed in with last; empty where that is not known."""
    found = request.COOKIES.get(_name(), "")
    return found if len(found) <= SSO_NAME_LIMIT and PROVIDER_NAME.fullmatch(found) else ""


def remember_way(request: HttpRequest, response: HttpResponse, provider_name: str) -> None:
    """Keep the provider for the next time, unless this browser knows it already."""
    if provider_name and provider_name != last_way(request):
        name = _name()
        response.set_cookie(
            name,
            provider_name,
            max_age=LIFETIME,
            secure=name.startswith("__Host-"),
            httponly=True,
            samesite="Lax",
        )


def last_first(providers: Iterable[Provider], name: str) -> list[Provider]:
    """Return the providers in their order, but for the one called *name*, which stands first."""
    return sorted(providers, key=lambda provider: provider.name != name)
