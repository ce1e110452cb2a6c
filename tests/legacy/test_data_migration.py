"""Migrations 0006 and 0007: additive, the same code for rows that stand in the table, and a way back."""

from __future__ import annotations

import logging

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from django_lazyauth.models import LegacyUpstreamToken, ProviderIdentity, UpstreamToken
from tests.conftest import register

from .rows import bundle_of, make_identity, make_legacy, make_user

pytestmark = pytest.mark.django_db(transaction=True)

APP = "lazyauth"


def migrations_of_the_table() -> tuple[str, str, str]:
    """Return the names of: what comes before the table, the table, the data migration."""
    graph = MigrationExecutor(connection).loader.graph
    table = next(
        name for label, name in graph.nodes if label == APP and name.endswith("_legacy_upstream_token")
    )
    data = next(name for label, name in graph.nodes if label == APP and name.endswith("_move_legacy_tokens"))
    before = next(parent.key[1] for parent in graph.node_map[APP, table].parents if parent.key[0] == APP)
    return before, table, data


@pytest.fixture
def at():
    """Migrate the app to a state; the newest one stands again when the test is over."""

    def go(name: str) -> None:
        call_command("migrate", APP, name, verbosity=0)

    yield go
    newest()


def newest() -> None:
    """Migrate to the newest state, which the code reads."""
    call_command("migrate", verbosity=0)


def test_rows_that_stand_in_the_table_move_with_migrate(at):
    _, table, data = migrations_of_the_table()
    # While the newest state stands: the class knows columns that come later.
    ada, client = make_user(), register()
    identity = make_identity(ada)
    at(table)
    rows = [make_legacy(ada, client) for _ in range(3)]
    at(data)
    assert not LegacyUpstreamToken.objects.exists()
    newest()
    assert {bundle_of(row.session_id).access_token for row in rows} == {row.access_token for row in rows}
    assert ProviderIdentity.objects.get(provider="corp").user == ada
    assert ProviderIdentity.objects.filter(pk=identity.pk).exists()


def test_rows_that_cannot_move_do_not_stop_migrate(at, caplog):
    _, table, data = migrations_of_the_table()
    at(table)
    good, bad = (
        make_legacy(make_user(), register()),
        make_legacy(make_user("b"), register(client_id="x"), subject=""),
    )
    with caplog.at_level(logging.WARNING, logger="django_lazyauth.migration"):
        at(data)
    newest()
    assert bundle_of(good.session_id)
    assert LegacyUpstreamToken.objects.get().pk == bad.pk
    assert "1 legacy rows were not moved" in caplog.text


def test_migrate_goes_on_where_nobody_can_say_which_provider_is_meant(at, lazyauth):
    from .conftest import CORP, OTHER

    _, table, data = migrations_of_the_table()
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER})
    at(table)
    make_legacy(make_user(), register())
    at(data)
    assert LegacyUpstreamToken.objects.count() == 1


def test_the_way_back_exists_and_what_moved_stays_good(at):
    before, table, data = migrations_of_the_table()
    ada, client = make_user(), register()
    at(table)
    row = make_legacy(ada, client)
    at(data)
    at(table)
    newest()
    assert bundle_of(row.session_id).refresh_token == row.refresh_token
    at(before)
    tables = connection.introspection.table_names()
    assert "lazyauth_legacyupstreamtoken" not in tables
    newest()
    assert bundle_of(row.session_id).refresh_token == row.refresh_token
    assert UpstreamToken.objects.count() == 1


def test_the_new_table_changes_none_that_is_there():
    """Additive: code of before finds every column as it was."""
    _, table, data = migrations_of_the_table()
    graph = MigrationExecutor(connection).loader.graph
    operations = [operation for name in (table, data) for operation in graph.nodes[APP, name].operations]
    assert [type(operation).__name__ for operation in operations] == ["CreateModel", "RunPython"]
    assert all(operation.reversible for operation in operations)
