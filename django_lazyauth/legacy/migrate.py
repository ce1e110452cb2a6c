"""Move the upstream tokens and identities of earlier deployments in; nobody signs in again (spec: legacy migration).

Batch by batch: read, seal, insert where nothing stands, read back, and only then retire the old rows. A row that
cannot be moved stays where it is and stops no other. Nothing remembers how far a run got, so it can be killed
and run again at any time, and beside a site that is signing people in: whatever stands under the new key wins.

Not here: where rows come from (``migrate_legacy_table`` and its neighbours), which provider is meant
(``migrate_legacy_names``), and what becomes of identities (``migrate_legacy_identities``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.apps.registry import Apps
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    reset_queries,
    transaction,
)

from . import bulk, identities
from .batch import BatchWriter, Outcome
from .lock import one_at_a_time
from .names import Names, TypeNames, chosen_provider
from .report import MigrationStopped, Problem, Reason, Report
from .source import LegacyRow, Models, Source
from .table import TableSource

logger = logging.getLogger("django_lazyauth.migration")

#: Rows of one transaction: enough to be quick, few enough for constant memory and short locks.
BATCH_SIZE: Final = 1000
MAX_BATCH_SIZE: Final = 10_000
#: Tries of a batch whose connection broke or that met a deadlock, and seconds between them.
TRIES: Final = 4
PAUSE: Final = 0.5
#: Times that a row is read again because somebody changed it meanwhile.
TRIES_OF_CHANGED: Final = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator asked for.

    Attributes:
        provider: Logical name that the legacy type becomes.
        limit: Rows of each kind (tokens, identities) at most.
        prune: Delete old identities, and what other apps keep, once the new ones were read back.
    """

    provider: str | None = None
    dry_run: bool = False
    batch_size: int = BATCH_SIZE
    limit: int | None = None
    prune: bool = False


class Watcher(Protocol):
    """Who is told how far it got."""

    def start(self, total: int | None) -> None: ...

    def advance(self, count: int) -> None: ...

    def waiting(self) -> None:
        """Somebody else is migrating; we begin when they are done."""


class _Nobody:
    def start(self, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def waiting(self) -> None:
        pass


def migrate(source: Source, options: Options, watcher: Watcher | None = None) -> Report:
    """Move what *source* has, and return what came of it.

    Raises:
        MigrationStopped: It cannot begin, or cannot go on.
    """
    watcher = watcher or _Nobody()
    started = time.monotonic()
    report = Report(source.name, dry_run=options.dry_run)
    try:
        names = source.names(chosen_provider(options.provider))
        with one_at_a_time(source.models.using, waiting=watcher.waiting):
            _migrate_all(source, names, options, report, watcher)
    except DatabaseError as error:
        # Its text may hold a row: only the class is told.
        raise MigrationStopped(f"The database failed: {type(error).__name__}.") from None
    finally:
        source.close()
    report.seconds = time.monotonic() - started
    logger.info(
        "legacy migration done",
        extra={
            "source": source.name,
            "moved": report.moved,
            "existed": report.existed,
            "failed": report.failed,
        },
    )
    return report


def _migrate_all(source: Source, names: Names, options: Options, report: Report, watcher: Watcher) -> None:
    if isinstance(names, TypeNames):
        # People first: who signs in between finds their user, and does not become another one.
        identities.copy_all(
            names,
            source.models,
            report,
            size=options.batch_size,
            limit=options.limit,
            dry_run=options.dry_run,
        )
    _Run(source, names, options, report, watcher).all_rows()
    report.unclaimed += source.unclaimed()
    if options.prune and isinstance(names, TypeNames):
        identities.prune(names, source.models, report, size=options.batch_size, dry_run=options.dry_run)
    report.remaining = source.remaining()


def migrate_table(apps: Apps, using: str) -> Report:
    """Move the rows of ``LegacyUpstreamToken`` with the models of *apps*: what the data migration does."""
    return migrate(TableSource(Models.of(apps, using)), Options())


def tokens_remain() -> bool:
    """Say whether rows of the old table wait. One indexed query.

    Raises:
        DatabaseError: The database does not answer, or has no such table yet.
    """
    return TableSource(Models.of()).has_rows()


def identities_remain() -> bool:
    """Say whether identities under a protocol's name wait for their twins; raises as :func:`tokens_remain`.

    Where none does, each of them was looked up: a second for a million.
    """
    return identities.are_waiting(Models.of())


def _is_up(using: str) -> bool:
    try:
        connections[using].ensure_connection()
        return bool(connections[using].is_usable())
    except DatabaseError:
        return False


# -- one run --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    source: Source
    names: Names
    options: Options
    report: Report
    watcher: Watcher

    @property
    def _writer(self) -> BatchWriter:
        return BatchWriter(self.names, self.models, self.options.dry_run)

    @property
    def models(self) -> Models:
        return self.source.models

    def all_rows(self) -> None:
        total = self.source.total()
        self.watcher.start(total)
        for page, progress in self._pages():
            self._page(page)
            self.watcher.advance(progress)
            # With DEBUG on, Django keeps every statement with its parameters: neither memory nor secrecy for that.
            reset_queries()

    def _pages(self) -> Iterator[tuple[Sequence[Any], int]]:
        left = self.options.limit
        if left is not None and left <= 0:
            return
        for page, progress in self.source.pages(self.options.batch_size):
            if left is not None and len(page) >= left:
                yield page[:left], progress
                return
            if left is not None:
                left -= len(page)
            yield page, progress

    def _page(self, handles: Sequence[Any]) -> None:
        if self.source.is_local:
            self._move(handles)
            return
        for _ in range(TRIES_OF_CHANGED):
            changed = self._move(self.source.read(handles, lock=False))
            if not changed:
                return
            handles = [row.handle[0] for row in changed]
        for row in changed:
            self.report.fail(Problem.of(row.key, Reason.CHANGED))

    def _move(self, items: Sequence[Any]) -> list[LegacyRow]:
        """Move handles of a local source, or rows of another; return rows that have changed meanwhile.

        What the database refuses is divided until the row stands alone that it does not want.
        """
        for attempt in range(TRIES):
            try:
                outcome = self._try(items)
                break
            except (OperationalError, InterfaceError):
                time.sleep(PAUSE * attempt)
                connections[self.models.using].close_if_unusable_or_obsolete()
                if attempt < TRIES - 1:
                    continue
                if not _is_up(self.models.using):
                    raise
                # The server is there: something in this batch is more than it takes.
                return self._divide(items)
            except (DataError, IntegrityError):
                return self._divide(items)
        changed = self._retire(outcome)
        outcome.tell(self.report)
        return changed

    def _divide(self, items: Sequence[Any]) -> list[LegacyRow]:
        if len(items) > 1:
            middle = len(items) // 2
            return [*self._move(items[:middle]), *self._move(items[middle:])]
        rows = self.source.read(items, lock=False) if self.source.is_local else items
        outcome = Outcome(read=len(rows))
        outcome.problems = [
            row if isinstance(row, Problem) else Problem.of(row.key, Reason.REFUSED) for row in rows
        ]
        outcome.tell(self.report)
        return []

    def _try(self, items: Sequence[Any]) -> Outcome:
        with transaction.atomic(using=self.models.using):
            if not self.source.is_local:
                return self._writer.write(items)
            outcome = self._writer.write(self.source.read(items, lock=not self.options.dry_run))
            if not self.options.dry_run:
                self.source.retire(outcome.landed)
            return outcome

    def _retire(self, outcome: Outcome) -> list[LegacyRow]:
        """Retire what another server holds, after our commit; take back what we wrote of a row that changed."""
        if self.source.is_local or self.options.dry_run:
            return []
        changed = self.source.retire(outcome.landed)
        if changed:
            ours = outcome.take_back({row.key for row in changed})
            bulk.withdraw(ours, model=self.models.bundle, using=self.models.using)
        return changed
