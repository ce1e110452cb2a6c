"""Real Celery workers and beats, on a queue of each test's own. Tests import the fixtures ``broker`` and ``celery``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.support.site_processes import ROOT, environment

BROKERS = {
    "rabbitmq": os.environ.get("LAZYAUTH_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("LAZYAUTH_TEST_REDIS_BROKER_URL", "redis://127.0.0.1:6379/6"),
}


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
