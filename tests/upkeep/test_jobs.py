"""Spec 11: periodic work without Celery, and a schedule that registers itself with Celery."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from celery import Celery
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_lazyauth import tasks
from django_lazyauth.models import PeriodicRun, UsedProof
from django_lazyauth.models.used_proof import ProofKind
from django_lazyauth.providers import key_refresh
from django_lazyauth.upkeep import jobs
from django_lazyauth.upkeep.schedule import JOBS, SWEEP
from tests.support.journey import redeem
from tests.support.recorded import code_for


@pytest.fixture
def expired(db):
    """A row that a sweep takes."""
    UsedProof.objects.create(
        digest="0" * 64, kind=ProofKind.DPOP, expires_at=timezone.now() - timedelta(days=1)
    )


def is_swept() -> bool:
    return not UsedProof.objects.exists()


def test_the_worker_runs_each_job_and_notes_it(expired):
    call_command("lazyauth_worker", "--once")
    assert is_swept()
    rows = PeriodicRun.objects.filter(finished_at__isnull=False, error="")
    assert set(rows.values_list("name", flat=True)) == {job.name for job in JOBS}


def test_a_job_that_fails_stops_no_other_and_is_told(expired, monkeypatch, caplog):
    secret = "secret-host"

    def fail():
        raise OSError(secret)

    monkeypatch.setitem(jobs._WORK, "refresh_provider_keys", fail)
    with pytest.raises(CommandError, match="refresh_provider_keys failed"):
        call_command("lazyauth_worker", "--once")
    assert is_swept()
    assert PeriodicRun.objects.get(pk="refresh_provider_keys").error == "OSError"
    assert PeriodicRun.objects.get(pk="deliver_logouts").error == ""
    assert secret not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_loop_runs_until_it_is_told_to_stop(expired):
    stop = threading.Event()
    loop = threading.Thread(target=jobs.run_until, args=[stop])
    loop.start()
    ends_at = time.monotonic() + 20
    while PeriodicRun.objects.filter(finished_at__isnull=False).count() < len(JOBS):
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    stop.set()
    loop.join(timeout=20)
    assert not loop.is_alive()
    assert is_swept()


@pytest.fixture
def old_process(monkeypatch):
    """A web process that has run for an hour. What it gives to its thread is in the list."""
    given: list = []
    monkeypatch.setattr(jobs._on_use, "looks_at", 0.0)
    monkeypatch.setattr(jobs._thread, "submit", given.append)
    return given


@pytest.mark.parametrize("last", [None, timedelta(minutes=30), timedelta(hours=2)])
def test_where_nobody_sweeps_a_web_process_does(client_, old_process, expired, last):
    """On the embedded default nothing else runs. Elsewhere cron, beat or the worker did it within the hour."""
    if last is not None:
        PeriodicRun.objects.create(name=SWEEP.name, started_at=timezone.now() - last)
    redeem(client_, code_for(client_))
    [work] = old_process
    work()
    assert is_swept() is (last != timedelta(minutes=30))
    redeem(client_, "another request")
    assert len(old_process) == 1


def test_an_app_of_celery_has_the_schedule_by_itself():
    """``autodiscover_tasks()`` imports the tasks, and nothing is copied into ``celery.py``."""
    app = Celery("site", set_as_current=False)
    app.conf.beat_schedule = {"lazyauth-sweep": {"task": "django_lazyauth.sweep", "schedule": 1}, "own": {}}
    app.finalize()
    assert set(app.conf.beat_schedule) == {*tasks.schedule(), "own"}
    assert app.conf.beat_schedule["lazyauth-sweep"]["schedule"] == 1


def test_a_configuration_that_is_read_later_has_the_schedule_too():
    app = Celery("site", set_as_current=False)
    app.finalize()
    app.config_from_object({"beat_schedule": {"own": {}}})
    assert set(app.conf.beat_schedule) == {*tasks.schedule(), "own"}


def test_the_jobs_without_celery_are_those_of_celery():
    assert set(jobs._WORK) == {job.name for job in JOBS}
    assert {entry["schedule"] for entry in tasks.schedule().values()} == {job.every for job in JOBS}
    assert jobs._WORK["refresh_provider_keys"] is key_refresh.refresh_providers
