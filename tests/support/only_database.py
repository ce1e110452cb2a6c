"""With ``-p tests.support.only_database`` only those tests run that use the database.

On another database than the first nothing else can differ.
"""

from __future__ import annotations

import pytest
from django.test import TransactionTestCase

#: Whatever is there of pytest-django's own.
FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not _uses_the_database(item)])
    items[:] = [item for item in items if _uses_the_database(item)]


def _uses_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db") is not None:
        return True
    of_django = isinstance(item, pytest.Function) and item.cls and issubclass(item.cls, TransactionTestCase)
    return bool(of_django) or not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
