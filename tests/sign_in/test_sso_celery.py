"""Real workers and a real beat, on RabbitMQ and on Redis."""

from __future__ import annotations

import time

import pytest

from django_lazyauth.models import PendingAuthorization, ProviderKeySet
from django_lazyauth.models.sign_in_log import Reason
from tests.support.celery_workers import WORKER, broker, celery, wait_for
from tests.support.site_processes import SiteProcess

__all__ = ["broker", "celery"]

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

DOMAIN = "acme.example"


def test_beat_has_keys_refreshed_and_rows_swept(upstream, celery, tmp_path, application):
    """Spec 2: stored keys are refreshed by a schedule."""
    from datetime import timedelta

    from django.utils import timezone

    PendingAuthorization.objects.create(
        client=application,
        redirect_uri="https://client.example/cb",
        code_challenge="x",
        expires_at=timezone.now() - timedelta(days=2),
    )
    celery(*WORKER)
    celery("beat", "--schedule", str(tmp_path / "beat"), "--pidfile=")
    wait_for(lambda: ProviderKeySet.objects.filter(pk="acme", fetched_at__isnull=False).exists())
    # It stays in the log of sign-ins, as one that was not finished.
    wait_for(lambda: PendingAuthorization.objects.get().reason == Reason.NOT_FINISHED)
    first = ProviderKeySet.objects.get(pk="acme")
    assert len(first.jwks["keys"]) == 2
    upstream.control(rotate_keys=True)
    ProviderKeySet.objects.update(next_refresh_at=timezone.now())
    wait_for(lambda: ProviderKeySet.objects.get(pk="acme").jwks != first.jwks)
    # Asked every second, fetched when due.
    assert len(upstream.requests("/jwks")) == 2


def test_a_worker_fetches_and_the_web_process_does_not(redis_cache, sso, celery, broker, lazyauth):
    lazyauth(DISCOVERY_RUNNER="celery")
    celery(*WORKER)
    web = SiteProcess(**broker)
    try:
        web.wait_until_up()
        # The worker needs seconds to start; a fetch that no worker starts is run by the process that asks next.
        time.sleep(6)
        web.ask("drive_once", domain=DOMAIN)
        wait_for(lambda: web.ask("is_ready", domain=DOMAIN))
    finally:
        web.close()
    assert [len(sso.requests(path)) for path in ("/.well-known/lazyauth-sso", "/jwks")] == [1, 1]


def test_without_a_worker_the_process_that_asks_next_fetches(redis_cache, sso, broker, lazyauth):
    """Threat model: Celery down → only clean-up lags."""
    lazyauth(DISCOVERY_RUNNER="celery")
    web = SiteProcess(**broker)
    try:
        web.wait_until_up()
        assert web.ask("drive", domain=DOMAIN, threads=5) == ["ready"] * 5
    finally:
        web.close()
    assert [len(sso.requests(path)) for path in ("/.well-known/lazyauth-sso", "/jwks")] == [1, 1]


def test_without_a_broker_it_is_fetched_at_once(redis_cache, sso, lazyauth):
    lazyauth(DISCOVERY_RUNNER="celery")
    web = SiteProcess(LAZYAUTH_TEST_BROKER="amqp://guest:guest@127.0.0.1:1//", LAZYAUTH_TEST_QUEUE="none")
    try:
        web.wait_until_up()
        assert web.ask("drive", domain=DOMAIN, threads=5) == ["ready"] * 5
    finally:
        web.close()
