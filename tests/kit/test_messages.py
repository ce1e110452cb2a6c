"""Messages to a broker that is down: nobody waits for it longer than half a second, and no thread for ever."""

from __future__ import annotations

import socket
import time
from uuid import uuid4

import pytest

from django_lazyauth.kit import background
from django_lazyauth.models import LogoutDelivery
from django_lazyauth.sessions import logout_queue
from tests.conftest import register
from tests.support.outages import closed_port

pytest.importorskip("celery")


pytestmark = pytest.mark.slow


@pytest.fixture(params=["refuses", "hangs", "accepts and hangs"])
def port(request):
    """The port of a broker that is down in one of the ways in which brokers are."""
    if request.param == "refuses":
        yield closed_port()
        return
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0 if request.param == "hangs" else 64)
        fillers = []
        if request.param == "hangs":
            # The backlog is full, so the handshake of TCP is never answered.
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
                fillers.append(filler)
        yield server.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture(params=["amqp://guest:guest@127.0.0.1:{}//", "redis://127.0.0.1:{}/0"])
def broker(request, port):
    """Celery's current app, with that broker."""
    from celery import Celery, current_app

    before = current_app._get_current_object()
    background._rest.ends_at = 0.0
    Celery("tests", broker=request.param.format(port), set_as_current=True)
    yield
    _until_idle()
    before.set_current()


def _until_idle():
    ends_at = time.monotonic() + 30
    while background._senders._unfinished:
        assert time.monotonic() < ends_at, "a thread waits for ever"
        time.sleep(0.05)


def test_a_caller_waits_half_a_second_at_most(broker):
    """Threat model: Celery down → only clean-up lags."""
    started = time.monotonic()
    with pytest.raises(Exception):  # noqa: B017, PT011 - each transport raises errors of its own library.
        background.send_task("a.task", (), lifetime=60)
    assert time.monotonic() - started < 0.7


def test_many_callers_do_not_wait_for_each_other(broker):
    """One person may have hundreds of sessions, and ending them all is one request."""
    started = time.monotonic()
    for _ in range(300):
        logout_queue.send(str(uuid4()))
    assert time.monotonic() - started < 0.5


@pytest.mark.django_db(transaction=True)
def test_a_session_ends_at_once_and_its_client_is_told_later(broker, lazyauth):
    """The row is enough: beat or the command sends what no broker took."""
    from django.db import transaction

    from django_lazyauth.models import ClientRegistration

    lazyauth(BACKCHANNEL_LOGOUT_RUNNER="celery")
    client = register(client_id="hears-of-logouts")
    ClientRegistration.objects.create(
        client=client, source="token", metadata={"backchannel_logout_uri": "https://client.example/out"}
    )
    started = time.monotonic()
    with transaction.atomic():
        logout_queue.note(uuid4(), client, user_pk=1)
    assert time.monotonic() - started < 0.5
    assert LogoutDelivery.objects.due().count() == 1
