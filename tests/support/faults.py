"""Let the database fail at one point of a piece of work, once or from there on.

``before``         the statement is not executed
``after``          it is executed, and its result is lost
``before_commit``  everything was written, and COMMIT never arrives: nothing stands
``after_commit``   COMMIT is done, and its acknowledgement is lost: everything stands (I22)

On PostgreSQL the connection is really cut: the server ends it, and the driver finds out. Elsewhere the error is raised
in its place. A statement outside ``atomic`` commits by itself, so ``after`` is its lost acknowledgement.

    with injected(Fault(3, when="after_commit")) as fault:
        answer = redeem(client, code)
    assert fault.fired
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import OperationalError, connection

Moment = Literal["before", "after", "before_commit", "after_commit"]
MOMENTS: tuple[Moment, ...] = ("before", "after", "before_commit", "after_commit")

#: What an error of a driver may quote. No log, answer or report may show it.
QUOTED = "canary0quoted0by0the0driver"


@dataclass
class Fault:
    """The *n*-th statement or COMMIT fails.

    Attributes:
        n: Counted from 1, over statements or over COMMITs as *when* says.
        lasting: Everything that the database is asked from there on fails too.
        of: Which statements count; all, if it is not given.
        error: The class of the error, where the connection is not really cut.
        cuts: Cut the connection on PostgreSQL; else only raise.
        on_failure: Called at the moment of each failure.
    """

    n: int
    when: Moment = "before"
    lasting: bool = False
    of: Callable[[str], bool] = field(default=lambda sql: True)
    error: type[Exception] = OperationalError
    cuts: bool = False
    on_failure: Callable[[], None] = lambda: None
    seen: int = 0
    _is_told: bool = False

    @property
    def fired(self) -> bool:
        return self.seen >= self.n

    def _is_due(self) -> bool:
        self.seen += 1
        return self.seen == self.n or (self.lasting and self.fired)

    def _tell(self) -> None:
        """Call *on_failure*, but not for a statement that it sends itself, as the repr of a queryset does."""
        if self._is_told:
            return
        self._is_told = True
        try:
            self.on_failure()
        finally:
            self._is_told = False

    def _fail(self) -> None:
        self._tell()
        if self.cuts and connection.vendor == "postgresql":
            cut(connection)
            return
        raise self.error(QUOTED)

    def on_statement(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        """Wrap each statement: ``connection.execute_wrapper``."""
        text = str(sql)
        if self.when in ("before_commit", "after_commit"):
            if self.lasting and self.fired:
                self._tell()
                raise self.error(QUOTED)
            return execute(sql, params, many, context)
        if not self.of(text):
            return execute(sql, params, many, context)
        is_due = self._is_due()
        if is_due and self.when == "before":
            self._fail()
        result = execute(sql, params, many, context)
        if is_due and self.when == "after":
            self._drop_locks(text)
            self._fail()
            raise self.error(QUOTED)
        return result

    @staticmethod
    def _drop_locks(sql: str) -> None:
        """Let SQLite forget a transaction that Django does not know of: a lost connection holds no lock."""
        if connection.vendor == "sqlite" and sql.startswith("BEGIN"):
            connection.connection.rollback()

    def on_commit(self, commit: Callable[[], None]) -> None:
        """Wrap each COMMIT."""
        is_due = self.when in ("before_commit", "after_commit") and self._is_due()
        if not is_due:
            commit()
            return
        self._tell()
        if self.when == "after_commit" and self.seen == self.n:
            commit()
        elif connection.connection is not None:
            # What the server does when the connection is lost.
            connection.connection.rollback()
        if self.cuts:
            connection.close()
        raise self.error(QUOTED)


@contextlib.contextmanager
def injected(fault: Fault) -> Iterator[Fault]:
    """Let *fault* happen to the work inside, in this thread."""
    commit = connection._commit

    def failing_commit() -> None:
        with connection.wrap_database_errors:
            fault.on_commit(commit)

    connection._commit = failing_commit
    try:
        with connection.execute_wrapper(fault.on_statement):
            yield fault
    finally:
        del connection._commit
        if connection.connection is not None and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def cut(victim: Any) -> None:
    """Let the server end this connection, as a restart of the server or a proxy does."""
    other = victim.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [victim.connection.info.backend_pid])
    finally:
        other.close()
