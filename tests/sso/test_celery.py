"""Real workers and a real beat, on RabbitMQ and on Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest

from django_lazyauth.models import PendingAuthorization, ProviderKeySet
from tests.support.site_processes import ROOT, SiteProcess, environment

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

BROKERS = {
    "rabbitmq": os.environ.get("LAZYAUTH_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("LAZYAUTH_TEST_REDIS_BROKER_URL", "redis://127.0.0.1:6379/6"),
}
DOMAIN = "acme.example"


@pytest.fixture(params=sorted(BROKERS))
def broker(request):
    """A queue of this test's own, deleted behind it."""
    from kombu import Connection

    url, queue = BROKERS[request.param], f"lazyauth-test-{uuid4().hex}"
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not there.
        pytest.skip(f"the {request.param} service is not there: {type(error).__name__}")
    yield {"LAZYAUTH_TEST_BROKER": url, "LAZYAUTH_TEST_QUEUE": queue}
    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_delete(queue)


@pytest.fixture
def celery(broker, tmp_path):
    """Start ``celery -A … <what>``; stopped with the test."""
    with ExitStack() as stack:

        def start(*what):
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tests.support.celery_app", *what],
                cwd=ROOT,
                env=environment(**broker),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(stop, process)
            return process

        yield start


WORKER = ("worker", "--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat")


def stop(process):
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)


def wait_for(condition, seconds=40):
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


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
    wait_for(lambda: not PendingAuthorization.objects.exists())
    first = ProviderKeySet.objects.get(pk="acme")
    assert len(first.jwks["keys"]) == 2
    upstream.control(rotate_keys=True)
    ProviderKeySet.objects.update(next_refresh_at=timezone.now())
    wait_for(lambda: ProviderKeySet.objects.get(pk="acme").jwks != first.jwks)
    # Asked every second, fetched when due.
    assert len(upstream.requests("/jwks")) == 2


def test_a_worker_flies_and_the_web_process_does_not(redis_cache, sso, celery, broker, lazyauth):
    lazyauth(DISCOVERY_RUNNER="celery")
    celery(*WORKER)
    web = SiteProcess(**broker)
    try:
        web.wait_until_up()
        # The worker needs seconds to start; a flight that nobody boards is flown by whoever asks next.
        time.sleep(6)
        web.ask("drive_once", domain=DOMAIN)
        wait_for(lambda: web.ask("is_ready", domain=DOMAIN))
    finally:
        web.close()
    assert [len(sso.requests(path)) for path in ("/.well-known/lazyauth-sso", "/jwks")] == [1, 1]


def test_without_a_worker_it_is_flown_by_whoever_asks_next(redis_cache, sso, broker, lazyauth):
    """Threat model: Celery down → only clean-up lags."""
    lazyauth(DISCOVERY_RUNNER="celery")
    web = SiteProcess(**broker)
    try:
        web.wait_until_up()
        assert web.ask("drive", domain=DOMAIN, threads=5) == ["ready"] * 5
    finally:
        web.close()
    assert [len(sso.requests(path)) for path in ("/.well-known/lazyauth-sso", "/jwks")] == [1, 1]


def test_without_a_broker_it_is_flown_at_once(redis_cache, sso, lazyauth):
    lazyauth(DISCOVERY_RUNNER="celery")
    web = SiteProcess(LAZYAUTH_TEST_BROKER="amqp://guest:guest@127.0.0.1:1//", LAZYAUTH_TEST_QUEUE="none")
    try:
        web.wait_until_up()
        assert web.ask("drive", domain=DOMAIN, threads=5) == ["ready"] * 5
    finally:
        web.close()
