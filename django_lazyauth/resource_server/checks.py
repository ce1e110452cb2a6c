"""Checks of a site that takes somebody else's tokens; ids as in the app's own checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit import fetch

from .local import local_issuer
from .settings import read_settings

#: Caches that other processes cannot see, or that forget at once.
PROCESS_LOCAL_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")


def check_resource_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that this site says whose tokens it takes, and what for."""
    return list(_resource_server())


def _resource_server() -> Iterator[CheckMessage]:
    try:
        server, revocation_check = read_settings(), lazyauth_settings.revocation_check
    except ImproperlyConfigured as error:
        yield Error(str(error), id="lazyauth.E060")
        return
    if local_issuer(server.issuer) is not None:
        return
    for url in filter(None, (server.issuer, server.jwks_uri)):
        try:
            fetch.check_url(url)
        except fetch.FetchError as error:
            yield Error(f"{url!r} cannot be fetched ({error.reason}).", id="lazyauth.E060")
    if not server.audience:
        yield Error(
            'LAZYAUTH["RESOURCE_SERVER"]["audience"] is missing.',
            hint="Name the URL that clients ask tokens for: without it a token for any other site would do here.",
            id="lazyauth.E061",
        )
    if revocation_check:
        yield Error(
            'LAZYAUTH["REVOCATION_CHECK"] asks the database of the issuer, which is not this site.',
            id="lazyauth.E062",
        )


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no setting is weaker than what we promise."""
    return list(_deployment())


def _deployment() -> Iterator[CheckMessage]:
    try:
        server = read_settings()
    except ImproperlyConfigured:
        return  # E060 says it
    if local_issuer(server.issuer) is not None:
        return
    if any(urlsplit(url).scheme == "http" for url in (server.issuer, server.jwks_uri, *server.audience)):
        yield Error("The issuer, its keys or the audience of this site are not https.", id="lazyauth.E160")
    if settings.CACHES.get("default", {}).get("BACKEND", "").endswith(PROCESS_LOCAL_CACHES):
        yield Error(
            "The cache is local to one process: each would fetch the issuer's keys by itself.",
            hint='Set CACHES["default"] to Redis, Memcached or the database.',
            id="lazyauth.E161",
        )


def register_checks() -> None:
    """Hook the checks in; called once by the app config."""
    register(check_resource_server, "lazyauth")
    register(check_deployment, "lazyauth", deploy=True)
