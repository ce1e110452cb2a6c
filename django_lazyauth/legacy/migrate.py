"""Move the upstream tokens and identities of earlier deployments in, so that nobody has to sign in again.

Each batch is read, sealed, inserted where no new row exists, and read back. Only then the old rows are retired. A row
that cannot be moved stays where it is and does not stop the others. No progress is stored, so a run can be killed and
repeated at any time, and the site may sign people in meanwhile: an existing new row always wins.

Not here: where rows come from (``sources/``), which provider a row means (``names``), and how identities are copied
(``identities``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
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
from .lock import Lease, one_at_a_time
from .names import Names, TypeNames, chosen_provider
from .report import MigrationStopped, Problem, Reason, Report
from .source import LegacyRow, Models, Source
from .sources.table import TableSource

logger = logging.getLogger("django_lazyauth.migration")

#: Rows of one transaction: enough for speed, few enough for constant memory and short locks.
BATCH_SIZE: Final = 1000
MAX_BATCH_SIZE: Final = 10_000
#: Attempts of a batch after a broken connection or a deadlock, and seconds between them.
ATTEMPTS: Final = 4
PAUSE: Final = 0.5
#: How often a row is read anew because somebody changed it meanwhile.
CHANGED_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command.

    Attributes:
        provider: Logical name of the provider that the legacy type becomes.
        limit: Maximum number of rows of each kind (tokens, identities).
        prune: Delete old identities and the rows of other apps after the new ones were read back.
    """

    provider: str | None = None
    dry_run: bool = False
    batch_size: int = BATCH_SIZE
    limit: int | None = None
    prune: bool = False


class Progress(Protocol):
    """Receives how far a run got."""

    def start(self, total: int | None) -> None: ...

    def advance(self, count: int) -> None: ...

    def waiting(self) -> None:
        """Another run has the lock. This one starts when the other ends."""


class _NoProgress:
    def start(self, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def waiting(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Renewing:
    """Progress, which renews the lease: a run that gets on keeps others waiting."""

    progress: Progress
    lease: Lease | None

    def start(self, total: int | None) -> None:
        self.progress.start(total)

    def advance(self, count: int) -> None:
        self.progress.advance(count)
        self.renew()

    def waiting(self) -> None:
        self.progress.waiting()

    def renew(self) -> None:
        if self.lease is not None:
            self.lease.take()


def migrate(source: Source, options: Options, progress: Progress | None = None) -> Report:
    """Move the rows of *source* and return the report.

    Raises:
        MigrationStopped: The run cannot start or cannot continue.
    """
    progress = progress or _NoProgress()
    started = time.monotonic()
    report = Report(source.name, dry_run=options.dry_run)
    try:
        names = source.names(chosen_provider(options.provider))
        # A dry run writes nothing, so it needs no lock.
        is_locked = source.models.has_leases and not options.dry_run
        lock = one_at_a_time(source.models.using, waiting=progress.waiting) if is_locked else nullcontext()
        with lock as lease:
            _migrate_all(source, names, options, report, _Renewing(progress, lease))
    except DatabaseError as error:
        # The text of the error may hold the data of a row, so only its class is shown.
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


def _migrate_all(source: Source, names: Names, options: Options, report: Report, progress: _Renewing) -> None:
    if isinstance(names, TypeNames):
        # Identities first, so that a person who signs in meanwhile finds their user and gets no second one.
        identities.copy_all(
            names,
            source.models,
            report,
            size=options.batch_size,
            limit=options.limit,
            dry_run=options.dry_run,
            renew=progress.renew,
        )
    _Run(source, names, options, report, progress).all_rows()
    report.unclaimed += source.unclaimed()
    report.newer += source.newer()
    if options.prune and isinstance(names, TypeNames):
        identities.prune(
            names,
            source.models,
            report,
            size=options.batch_size,
            dry_run=options.dry_run,
            renew=progress.renew,
        )
    report.remaining = source.remaining()


def migrate_table(apps: Apps, using: str) -> Report:
    """Move the rows of ``LegacyUpstreamToken`` with the models of *apps*. The data migration calls it."""
    return migrate(TableSource(Models.of(apps, using)), Options())


def tokens_remain() -> bool:
    """Say whether the old table has rows to move. One indexed query.

    Raises:
        DatabaseError: The database does not answer, or the table does not exist yet.
    """
    return TableSource(Models.of()).has_rows()


def tokens_left() -> int:
    """Return how many rows of the old table name a provider, up to 10,000. Raises like :func:`tokens_remain`."""
    return TableSource(Models.of()).left()


def identities_remain() -> bool:
    """Say whether identities under a protocol's name still need a copy. Raises like :func:`tokens_remain`.

    When none does, the query looks at every identity: a second for a million.
    """
    return identities.are_waiting(Models.of())


def _is_reachable(using: str) -> bool:
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
    progress: Progress

    @property
    def _writer(self) -> BatchWriter:
        return BatchWriter(self.names, self.models, self.options.dry_run)

    @property
    def models(self) -> Models:
        return self.source.models

    def all_rows(self) -> None:
        total = self.source.total()
        self.progress.start(total)
        for page, progress in self._pages():
            self._page(page)
            self.progress.advance(progress)
            # With DEBUG on, Django keeps every statement with its parameters. That costs memory and leaks tokens.
            reset_queries()

    def _pages(self) -> Iterator[tuple[Sequence[Any], int]]:
        for pages in self.source.kinds(self.options.batch_size):
            yield from self._limited(pages)

    def _limited(self, pages: Iterator[tuple[Sequence[Any], int]]) -> Iterator[tuple[Sequence[Any], int]]:
        left = self.options.limit
        if left is not None and left <= 0:
            return
        for page, progress in pages:
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
        for _ in range(CHANGED_ATTEMPTS):
            changed = self._move(self.source.read(handles, lock=False))
            if not changed:
                return
            handles = [row.handle[0] for row in changed]
        for row in changed:
            self.report.fail(Problem.of(row.key, Reason.CHANGED))

    def _move(self, items: Sequence[Any]) -> list[LegacyRow]:
        """Move the handles of a local source, or the rows of another one. Return rows that changed meanwhile.

        A batch that the database refuses is halved until the refused row is alone.
        """
        for attempt in range(ATTEMPTS):
            try:
                outcome = self._try(items)
                break
            except (OperationalError, InterfaceError):
                time.sleep(PAUSE * attempt)
                connections[self.models.using].close_if_unusable_or_obsolete()
                if attempt < ATTEMPTS - 1:
                    continue
                if not _is_reachable(self.models.using):
                    raise
                # The server is up, so something in this batch is too much for it.
                return self._divide(items)
            except (DataError, IntegrityError):
                return self._divide(items)
        changed = self._retire(outcome)
        outcome.add_to(self.report)
        return changed

    def _divide(self, items: Sequence[Any]) -> list[LegacyRow]:
        if len(items) > 1:
            middle = len(items) // 2
            return [*self._move(items[:middle]), *self._move(items[middle:])]
        rows = self._read_refused(items) if self.source.is_local else items
        outcome = Outcome(read=len(rows))
        outcome.problems = [
            row if isinstance(row, Problem) else Problem.of(row.key, Reason.REFUSED) for row in rows
        ]
        outcome.add_to(self.report)
        return []

    def _read_refused(self, handles: Sequence[Any]) -> Sequence[LegacyRow | Problem]:
        try:
            return self.source.read(handles, lock=False)
        except DataError:  # The driver cannot read a value of it.
            return [Problem.of(str(handle), Reason.REFUSED) for handle in handles]

    def _try(self, items: Sequence[Any]) -> Outcome:
        with transaction.atomic(using=self.models.using):
            if not self.source.is_local:
                return self._writer.write(items)
            outcome = self._writer.write(self.source.read(items, lock=not self.options.dry_run))
            if not self.options.dry_run:
                self.source.retire(outcome.retirable)
            return outcome

    def _retire(self, outcome: Outcome) -> list[LegacyRow]:
        """Retire the rows on another server after our commit. Undo the new rows of those that changed meanwhile."""
        if self.source.is_local or self.options.dry_run:
            return []
        changed = self.source.retire(outcome.retirable)
        if changed:
            ours = outcome.remove({row.key for row in changed})
            bulk.delete_unchanged(ours, model=self.models.bundle, using=self.models.using)
        return changed
