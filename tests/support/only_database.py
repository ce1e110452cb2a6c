"""With ``-p tests.support.only_database`` only those tests run that use the database.

On another database than the first nothing else can differ. Behind a pooler only what commits: a test that is rolled
back is one transaction, and has one connection of the server to itself.
"""

from __future__ import annotations

import os

import pytest
from django.test import TransactionTestCase

#: Fixtures of pytest-django, and those of them that commit.
FIXTURES, COMMITTING = {"db", "django_db_setup"}, {"transactional_db", "live_server"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_chosen = _commits if os.environ.get("LAZYAUTH_TEST_PGBOUNCER") == "1" else _uses_the_database
    config.hook.pytest_deselected(items=[item for item in items if not is_chosen(item)])
    items[:] = [item for item in items if is_chosen(item)]


def _uses_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db") is not None or _commits(item):
        return True
    return not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def _commits(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    if marker is not None and (marker.kwargs.get("transaction") or any(marker.args)):
        return True
    of_django = isinstance(item, pytest.Function) and item.cls and issubclass(item.cls, TransactionTestCase)
    return bool(of_django) or not COMMITTING.isdisjoint(getattr(item, "fixturenames", ()))
