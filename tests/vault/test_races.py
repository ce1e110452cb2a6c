"""Several processes on one database and one upstream: one refresh, whoever notices, and whoever dies."""

from __future__ import annotations

import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from django_lazyauth.errors import RefreshTransient
from django_lazyauth.vault.lease import LEASE_TIME
from tests.support.racers import racer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL as a service: set LAZYAUTH_TEST_DATABASE=postgresql")


def race(session, *, processes: int, threads: int) -> list[dict]:
    with ExitStack() as stack:
        racers = [
            stack.enter_context(racer(work="refresh", threads=threads, **session.binding))
            for _ in range(processes)
        ]
        for one in racers:
            one.go()
        return [result for one in racers for result in one.result()]


def assert_one_refresh(session, results: list[dict], count: int) -> None:
    assert len(results) == count
    assert [result for result in results if "error" in result] == []
    assert {result["version"] for result in results} == {2}
    assert {result["token"] for result in results} == {session.bundle().access_token}
    assert len(session.refreshes()) == 1
    assert session.rows.get().lease_until is None


@pytest.mark.services
def test_two_hundred_calls_of_four_processes_cause_one_refresh(session, postgresql):
    """Threat model, vault: 200 parallel refreshes of one upstream bundle in 4 processes → one upstream call."""
    session.expire()
    session.upstream.control(delay=0.5)
    assert_one_refresh(session, race(session, processes=4, threads=50), 200)


@pytest.mark.slow
def test_two_hundred_calls_of_two_processes_cause_one_refresh(session):
    session.expire()
    session.upstream.control(delay=0.5)
    assert_one_refresh(session, race(session, processes=2, threads=100), 200)


@pytest.mark.slow
def test_after_a_holder_was_killed_the_lease_ends_and_the_next_caller_refreshes(session):
    before = session.expire()
    session.upstream.control(token_answers=["hang"])
    with racer(work="refresh", threads=1, **session.binding) as holder:
        holder.go()
        give_up = time.monotonic() + 20
        while not session.refreshes():
            assert time.monotonic() < give_up
            time.sleep(0.05)
        holder.kill()
    leased_at = time.monotonic()
    with pytest.raises(RefreshTransient):
        session.fresh(wait=1.0)
    assert len(session.refreshes()) == 1
    time.sleep(LEASE_TIME.total_seconds() - (time.monotonic() - leased_at) + 0.1)
    credential = session.fresh()
    assert credential.version == 2
    assert credential.access_token != before.access_token
    assert len(session.refreshes()) == 2


@pytest.fixture(scope="session", autouse=True)
def _server_answers():
    """Look for the server before the test database is made there."""
    if connection.vendor != "postgresql":
        return
    import psycopg

    try:
        psycopg.connect(settings.POSTGRES_URL, connect_timeout=5).close()
    except psycopg.OperationalError:
        where = urlsplit(settings.POSTGRES_URL)
        pytest.skip(f"the PostgreSQL service does not answer at {where.hostname}:{where.port or 5432}")
