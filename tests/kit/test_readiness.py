"""Rooms register what a process must wait for; the endpoint asks them all."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client

from django_lazyauth.kit import readiness

pytestmark = pytest.mark.django_db


@pytest.fixture
def probe(monkeypatch):
    monkeypatch.setattr(readiness, "_probes", dict(readiness._probes))
    return readiness.register_probe


def test_a_probe_makes_the_process_wait_until_it_says_otherwise(probe):
    waiting = [True]
    probe("warm_up", lambda: waiting[0])
    assert readiness.waits_for() == ["warm_up"]
    answer = Client().get("/ready", secure=True)
    assert (answer.status_code, answer.json()["waits_for"]) == (503, ["warm_up"])
    waiting.clear()
    waiting.append(False)
    assert readiness.waits_for() == []


def test_a_probe_of_the_same_name_replaces_the_first(probe):
    probe("warm_up", lambda: True)
    probe("warm_up", lambda: False)
    assert readiness.waits_for() == []


def test_health_asks_nothing_else(probe, monkeypatch):
    """A database that is down is no reason to restart the process."""

    def fail(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", fail)
    probe("warm_up", lambda: True)
    answer = Client().get("/health", secure=True)
    assert (answer.status_code, answer.json()) == (200, {"alive": True})
