"""Races need a server that many connections meet in: PostgreSQL, or MariaDB for the modules that name it.

Where it is not, the tests are skipped.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection


@pytest.fixture(scope="session", autouse=True)
def server():
    """Look for the server before the test database is made there. Return its vendor."""
    if connection.vendor == "postgresql":
        _look_for_postgresql()
    elif connection.vendor != "mysql":
        pytest.skip("needs PostgreSQL as a service: set LAZYAUTH_TEST_DATABASE=postgresql")
    return connection.vendor


def _look_for_postgresql() -> None:
    import psycopg

    try:
        psycopg.connect(settings.POSTGRES_URL, connect_timeout=5).close()
    except psycopg.OperationalError:
        where = urlsplit(settings.POSTGRES_URL)
        pytest.skip(f"the PostgreSQL service does not answer at {where.hostname}:{where.port or 5432}")


@pytest.fixture(autouse=True)
def _vendor(request, server):
    """Skip what is not about this server. A module names others than PostgreSQL as ``VENDORS``."""
    if server not in getattr(request.module, "VENDORS", {"postgresql"}):
        pytest.skip("this race is about another server")


@pytest.fixture(scope="session", autouse=True)
def _quick_rows(server, django_db_setup, django_db_blocker):
    """Spare what these tests do not need: they are about who sees which row, not about the disk."""
    if server != "postgresql":
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        # No test here kills the server, and what others see of a commit does not wait for the disk.
        cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" SET synchronous_commit = off')
        connection.close()


@pytest.fixture
def waiting():
    """Count the connections that wait for a lock of another: ``until(lambda: waiting() == 1)``."""
    watcher = connection.copy()
    watcher.inc_thread_sharing()

    def count() -> int:
        with watcher.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return cursor.fetchone()[0]

    yield count
    watcher.close()
