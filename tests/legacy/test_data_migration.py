"""Migrations 0006 and 0007: additive, the same code for rows that stand in the table, and a way back.

One walk through them and all that came later takes seconds, so one walk serves every test. What stands at each of its
stations is written down as it passes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.test import override_settings

from django_lazyauth.models import LegacyUpstreamToken, ProviderIdentity, UpstreamToken
from django_lazyauth.vault.store import UpstreamBundle
from tests.conftest import register

from .conftest import CORP, GITHUB, OTHER
from .rows import bundle_of, make_identity, make_legacy, make_user

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


def go(name: str) -> None:
    """Migrate the app to a state."""
    call_command("migrate", APP, name, verbosity=0)


def newest() -> None:
    """Migrate to the newest state, which the code reads."""
    call_command("migrate", verbosity=0)


@contextmanager
def configured(**providers: Any) -> Iterator[None]:
    with override_settings(LAZYAUTH=settings.LAZYAUTH | {"PROVIDERS": providers}):
        yield


@contextmanager
def warnings_of_the_migration() -> Iterator[list[str]]:
    logger, texts = logging.getLogger("django_lazyauth.migration"), list[str]()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logger.addHandler(listener)
    try:
        yield texts
    finally:
        logger.removeHandler(listener)


@dataclass(frozen=True)
class Walk:
    """What stood where: of three good rows of one person, and one row that names nobody."""

    good: list[LegacyUpstreamToken]
    bad: LegacyUpstreamToken
    identity: ProviderIdentity
    #: Rows that were left by the data migration: with two providers that may be meant, and with one.
    left_undecided: list[LegacyUpstreamToken]
    left: list[LegacyUpstreamToken]
    warnings: list[str]
    #: What a row of each of these providers did to a step back over the table: the error, and whether it stood after.
    refusals: dict[str, tuple[str, bool]]
    #: Before the table: all tables, and what the checks of the database said. ``migrate`` runs them first.
    tables: list[str]
    checks: list[str]
    #: At the newest state, after the way back over the table.
    bundles: list[UpstreamBundle]
    identities: list[ProviderIdentity]
    tokens: int


@pytest.fixture(scope="module")
def walk(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        try:
            with configured(corp=CORP, github=GITHUB):
                return _walk()
        finally:
            newest()
            call_command("flush", verbosity=0, interactive=False)


def _walk() -> Walk:
    before, table, data = migrations_of_the_table()
    # While the newest state stands: the classes know columns that come later.
    ada, client = make_user(), register()
    nobody, others = make_user("b"), register(client_id="x")
    identity = make_identity(ada)
    go(table)
    good = [make_legacy(ada, client) for _ in range(3)]
    bad = make_legacy(nobody, others, subject="")
    with configured(corp=CORP, other=OTHER):
        go(data)
        left_undecided = list(LegacyUpstreamToken.objects.all())
        go(table)
    with warnings_of_the_migration() as warnings:
        go(data)
    left = list(LegacyUpstreamToken.objects.all())
    LegacyUpstreamToken.objects.filter(pk=bad.pk).delete()
    refusals = {provider: _refusal(provider, before) for provider in ("github", "oidc")}
    go(before)
    tables = connection.introspection.table_names()
    checks = [message.id for message in run_checks(databases=["default"]) if message.is_serious()]
    newest()
    return Walk(
        good,
        bad,
        identity,
        left_undecided,
        left,
        warnings,
        refusals,
        tables,
        checks,
        [bundle_of(row.session_id) for row in good],
        list(ProviderIdentity.objects.all()),
        UpstreamToken.objects.count(),
    )


def _refusal(provider: str, before: str) -> tuple[str, bool]:
    """Try the step back while a row of *provider* stands; return what was said, and whether the row still stood."""
    row = make_legacy(make_user(f"of-{provider}"), register(client_id=provider), provider=provider)
    try:
        go(before)
    except IrreversibleError as error:
        return str(error), LegacyUpstreamToken.objects.get() == row
    else:
        return "", False
    finally:
        row.delete()


def test_rows_that_stand_in_the_table_move_with_migrate(walk):
    assert not set(walk.left) & set(walk.good)
    assert {bundle.access_token for bundle in walk.bundles} == {row.access_token for row in walk.good}
    [moved] = [identity for identity in walk.identities if identity.provider == "corp"]
    assert moved.user_id == walk.identity.user_id
    assert walk.identity in walk.identities


def test_rows_that_cannot_move_do_not_stop_migrate(walk):
    assert walk.left == [walk.bad]
    [warning] = walk.warnings
    assert "1 legacy rows were not moved" in warning


def test_migrate_goes_on_where_nobody_can_say_which_provider_is_meant(walk):
    assert {row.pk for row in walk.left_undecided} == {row.pk for row in [*walk.good, walk.bad]}


def test_the_way_back_exists_and_what_moved_stays_good(walk):
    assert "lazyauth_legacyupstreamtoken" not in walk.tables
    assert [bundle.refresh_token for bundle in walk.bundles] == [row.refresh_token for row in walk.good]
    assert walk.tokens == len(walk.good)


def test_the_way_back_refuses_to_drop_rows(walk):
    assert set(walk.refusals) == {"github", "oidc"}
    for said, stood in walk.refusals.values():
        assert "migrate_legacy_tokens" in said
        assert stood


def test_a_database_that_lacks_columns_of_later_migrations_is_no_obstacle_to_its_checks(walk):
    """Spec 9: the rules for subjects are kept in a column that came later than the table."""
    assert walk.checks == []


@pytest.mark.django_db
def test_the_new_table_changes_none_that_is_there():
    """Additive: code of before finds every column as it was."""
    _, table, data = migrations_of_the_table()
    graph = MigrationExecutor(connection).loader.graph
    operations = [operation for name in (table, data) for operation in graph.nodes[APP, name].operations]
    assert [type(operation).__name__ for operation in operations] == ["CreateModel", "RunPython"]
    assert all(operation.reversible for operation in operations)
