"""Moving legacy rows in, sealing and reading back included, costs no more than to write such rows and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from django_lazyauth.legacy.migrate import Options, migrate
from django_lazyauth.legacy.source import Models
from django_lazyauth.legacy.sources.table import TableSource
from django_lazyauth.models import LegacyUpstreamToken, UpstreamToken

from .harness import Claim, Side
from .legacy_migration import fill_table, sealed_rows

#: Rows of one run. A million at once, with the memory that it takes: ``python -m tests.benchmarks.legacy_migration``.
ROWS = int(os.environ.get("LAZYAUTH_BENCH_LEGACY_ROWS", "1000"))


@dataclass
class Moves:
    """Runs of ours: each moves the next rows."""

    moved: int = 0

    def prepare(self, count: int) -> Sequence[None]:
        fill_table(count * ROWS)
        return [None] * count

    def run(self, _: None) -> None:
        report = migrate(TableSource(Models.of()), Options(provider="corp", limit=ROWS, batch_size=ROWS))
        if report.moved != ROWS or report.failed:
            raise AssertionError(f"{report.moved} moved, {report.failed} failed")
        self.moved += report.moved

    def check(self) -> None:
        if LegacyUpstreamToken.objects.exists() or UpstreamToken.objects.count() < self.moved:
            raise AssertionError("rows were left, or lost")


def prepare_peer(count: int) -> Sequence[list[Any]]:
    return [list(sealed_rows(ROWS)) for _ in range(count)]


def sides() -> tuple[Side, Side]:
    provider = {"issuer": "https://login.corp.example", "client_id": "us", "client_secret": "s" * 32}
    settings.LAZYAUTH = settings.LAZYAUTH | {
        "PROVIDERS": {**settings.LAZYAUTH["PROVIDERS"], "corp": provider}
    }
    ours = Moves()
    return Side(ours.prepare, ours.run, ours.check), Side(prepare_peer, UpstreamToken.objects.bulk_create)


CLAIM = Claim(
    f"{ROWS} legacy rows moved, sealed and read back, beside a bare bulk_create of sealed rows",
    bound=1.25,
    sides=sides,
    rounds=3,
    samples=4,
    vendors=frozenset({"postgresql"}),
)
