"""What ``models/sqlite`` completes: the options of the site's own SQLite database, where they say nothing."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, connections, router

from django_lazyauth.kit.retry import is_conflict, retry_on_conflict
from django_lazyauth.models import PendingAuthorization, sqlite


class Connection:
    def __init__(self, vendor, **options):
        self.vendor = vendor
        self.settings_dict = {"OPTIONS": options}


@pytest.mark.parametrize(
    ("found", "options"),
    [
        (Connection("sqlite"), {"transaction_mode": "IMMEDIATE", "timeout": 20}),
        (Connection("sqlite", timeout=1), {"transaction_mode": "IMMEDIATE", "timeout": 1}),
        (Connection("sqlite", transaction_mode="DEFERRED"), {"transaction_mode": "DEFERRED", "timeout": 20}),
        (Connection("postgresql"), {}),
    ],
)
def test_only_what_the_site_left_unsaid_is_completed(monkeypatch, found, options):
    monkeypatch.setattr(sqlite, "connections", {"default": found})
    sqlite.complete_options("default")
    assert found.settings_dict["OPTIONS"] == options


@pytest.mark.django_db
def test_the_database_of_our_rows_is_completed_when_the_site_starts():
    """Nobody who follows ``startproject`` meets "database is locked"."""
    options = connections[router.db_for_write(PendingAuthorization)].settings_dict["OPTIONS"]
    if connection.vendor == "sqlite":
        assert options.keys() >= sqlite.OPTIONS.keys()
    else:
        assert "transaction_mode" not in options


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite only")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["DEFERRED", "IMMEDIATE"])
def test_a_transaction_that_meets_a_writer_is_begun_again(monkeypatch, mode):
    """A busy database is a lost race, whichever way the site begins its transactions: nothing was written."""
    from django.contrib.auth import get_user_model
    from django.db import transaction

    users, attempts = get_user_model().objects, []
    may_write, has_written = threading.Event(), threading.Event()

    def another_writer():
        may_write.wait(10)
        users.create(username="other")
        has_written.set()
        connections.close_all()

    def read_and_write():
        attempts.append(1)
        with transaction.atomic():
            users.count()
            if mode == "DEFERRED" and len(attempts) == 1:
                may_write.set()
                has_written.wait(10)
            users.create(username="this")

    connection.ensure_connection()
    monkeypatch.setattr(connections["default"], "transaction_mode", mode)
    thread = threading.Thread(target=another_writer)
    thread.start()
    retry_on_conflict(read_and_write)
    may_write.set()
    thread.join()
    assert len(attempts) == (2 if mode == "DEFERRED" else 1)
    assert users.filter(username__in=["this", "other"]).count() == 2


def test_a_locked_table_of_a_shared_cache_is_a_conflict():
    cause = Exception()
    cause.sqlite_errorname = "SQLITE_LOCKED_SHAREDCACHE"
    error = OperationalError("database table is locked")
    error.__cause__ = cause
    assert is_conflict(error)
