from __future__ import annotations

import pytest
from django.db import connection

from tests.support.many_rows import empty, fill

COUNT = 100_000


@pytest.fixture(scope="module")
def large_site(django_db_setup, django_db_blocker):
    """10⁵ people with a live session each, for all tests of a file. They are gone when the next file begins."""
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL")
    from tests.conftest import register

    with django_db_blocker.unblock():
        filled = fill(COUNT, application=register(client_id="large-client", name="Large"))
        yield filled
        empty()
