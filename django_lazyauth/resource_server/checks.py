"""System checks of a site that accepts tokens of another issuer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.conf.messages import readable, refused_values, unknown_names
from django_lazyauth.kit import fetch

from .local import local_issuer

#: Caches that other processes cannot read, that keep nothing, or in which two processes may both add one key.
UNSHARED_CACHES = ("locmem.LocMemCache", "dummy.DummyCache", "filebased.FileBasedCache")


def check_resource_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that issuer and audience are configured and can work."""
    return list(_resource_server())


def _resource_server() -> Iterator[CheckMessage]:
    if not apps.is_installed("django_lazyauth"):
        yield from unknown_names()
        yield from refused_values(["ALLOW_LOOPBACK_UPSTREAMS", "PROTECTED_RESOURCES", "RESOURCE_NAMES"])
    refused = list(refused_values(["RESOURCE_SERVER", "REVOCATION_CHECK"], check_id="lazyauth.E060"))
    yield from refused
    server = readable("resource_server")
    if refused:
        return
    if server is None:
        yield Error(
            'LAZYAUTH["RESOURCE_SERVER"]["issuer"] is missing, and so is LAZYAUTH["ISSUER"].',
            hint="Name the authorization server whose tokens this site accepts.",
            id="lazyauth.E060",
        )
        return
    if local_issuer(server.issuer) is not None:
        return
    for url in filter(None, (server.issuer, server.jwks_uri)):
        try:
            fetch.check_url(url)
        except fetch.FetchError as error:
            yield Error(f"{url[:200]!r} cannot be fetched ({error.reason}).", id="lazyauth.E060")
    if not server.audience:
        yield Error(
            'LAZYAUTH["RESOURCE_SERVER"]["audience"] is missing.',
            hint="Name the URL that clients ask tokens for. Otherwise tokens for any other site would be accepted.",
            id="lazyauth.E061",
        )
    if lazyauth_settings.revocation_check:
        yield Error(
            'LAZYAUTH["REVOCATION_CHECK"] asks the database of the issuer, which is not this site.',
            id="lazyauth.E062",
        )


def cache_is_unshared() -> bool:
    return str(settings.CACHES.get("default", {}).get("BACKEND", "")).endswith(UNSHARED_CACHES)


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no setting is weaker than what we promise."""
    return list(_deployment())


def _deployment() -> Iterator[CheckMessage]:
    server = readable("resource_server")
    if server is None or local_issuer(server.issuer) is not None:
        return  # E060 reports what cannot be read.
    if any(url.lower().startswith("http:") for url in (server.issuer, server.jwks_uri, *server.audience)):
        yield Error("The issuer, its keys or the audience of this site are not https.", id="lazyauth.E160")
    if cache_is_unshared():
        yield Error(
            "The cache is local to one process, or is made of files, which two processes write at once: each may fetch "
            "keys and take a DPoP proof for itself.",
            hint='Set CACHES["default"] to Redis, Memcached or the database.',
            id="lazyauth.E161",
        )
