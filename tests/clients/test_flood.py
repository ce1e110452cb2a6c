"""I16 at speed: a short run of ``tests.benchmarks.flood``, which registers 100,000."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.benchmarks.flood import flood, identical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


@pytest.fixture(autouse=True)
def _on_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("service: runs on PostgreSQL, LAZYAUTH_TEST_DATABASE=postgresql")


def test_the_cap_holds_and_memory_stays_flat(lazyauth):
    lazyauth(REGISTRATIONS_PER_NETWORK=10**9, MAX_UNUSED_CLIENTS=150)
    found = flood(600, window=100)
    assert found.unused <= 150
    assert found.kept == 100, "manual and active clients are never touched"
    assert found.newest_kept
    # What it costs in time is for the whole run to say: with so small a cap somebody goes for each who comes.
    assert found.memory_at_last <= found.memory_at_first + 20


def test_identical_registrations_make_one_row(lazyauth):
    assert identical(200) == 1
