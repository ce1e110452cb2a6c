"""Run a transaction anew when the database aborted it because of a concurrent one.

At READ COMMITTED a conditional UPDATE that lost the race changes no row. The database aborts the transaction instead
at REPEATABLE READ and SERIALIZABLE (PostgreSQL, MariaDB with snapshot isolation), in a deadlock, and on SQLite when
two readers want to write. An aborted transaction wrote nothing, so running it anew is safe.

A foreign key that leads nowhere is the same: a concurrent transaction deleted the row that this one had read. On the
next attempt the row is not found, and the caller answers that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.db.models import QuerySet

T = TypeVar("T")
P = ParamSpec("P")

#: serialization_failure, deadlock_detected (PostgreSQL, Appendix A).
SQLSTATES: Final = frozenset({"40001", "40P01"})
#: MySQL, MariaDB: ER_LOCK_DEADLOCK; ER_CHECKREAD, "record has changed since last read".
ERROR_NUMBERS: Final = frozenset({1213, 1020})
#: foreign_key_violation (PostgreSQL); MySQL, MariaDB: ER_ROW_IS_REFERENCED_2, ER_NO_REFERENCED_ROW_2.
FOREIGN_KEY_SQLSTATE: Final = "23503"
FOREIGN_KEY_NUMBERS: Final = frozenset({1451, 1452})
#: Enough to end the session of a client that refreshes without a pause, at SERIALIZABLE.
ATTEMPTS: Final = 15
#: Seconds after which only the first retry is still made.
RETRY_TIME: Final = 3.0
#: Upper bound of the first pause in seconds. It doubles with each attempt, a few times.
PAUSE: Final = 0.02
DOUBLINGS: Final = 4


class StaleSnapshot(OperationalError):
    """The transaction works on rows that its snapshot does not show. It must run anew, with a newer snapshot.

    At REPEATABLE READ, MySQL and MariaDB let a transaction lock and change rows that it cannot read.
    """


def is_conflict(error: Exception) -> bool:
    """Say whether a transaction was aborted because of a concurrent one. Nothing of it was written."""
    if not isinstance(error, DatabaseError):
        return False
    if isinstance(error, StaleSnapshot):
        return True
    if is_foreign_key_violation(error):
        return True
    cause = error.__cause__
    if not SQLSTATES.isdisjoint(_sqlstates(error)):
        return True
    if error.args and error.args[0] in ERROR_NUMBERS:
        return True
    # BUSY: another connection held the file for longer than the timeout, or read before this one wanted to write.
    # LOCKED: the same within one process, with a shared cache.
    return getattr(cause, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_foreign_key_violation(error: Exception) -> bool:
    """Say whether a row points, or would point, to a row that does not exist."""
    if not isinstance(error, IntegrityError):
        return False
    if FOREIGN_KEY_SQLSTATE in _sqlstates(error) or (error.args and error.args[0] in FOREIGN_KEY_NUMBERS):
        return True
    return "FOREIGN KEY constraint failed" in str(error)


def _sqlstates(error: Exception) -> set[str | None]:
    """Return what psycopg 3 and 2 say of *error*."""
    return {getattr(error.__cause__, name, None) for name in ("sqlstate", "pgcode")}


#: Errors about a statement, by a database that works: another try fails in the same way.
_OF_A_STATEMENT: Final = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
_OF_A_CONNECTION: Final = (DatabaseError, InterfaceError, ConnectionError, TimeoutError)
#: Errors of caches that say the same and are none of those, by their module. Sessions may be kept in a cache.
_OF_A_CACHE: Final = {
    "redis.exceptions": ("ConnectionError", "TimeoutError"),
    "valkey.exceptions": ("ConnectionError", "TimeoutError"),
    "django_redis.exceptions": ("ConnectionInterrupted",),
    "pymemcache.exceptions": ("MemcacheUnexpectedCloseError",),
}


def is_outage(error: Exception) -> bool:
    """Say whether a database, a cache or another server did not answer. The same request may succeed later."""
    if isinstance(error, _OF_A_CONNECTION):
        return not isinstance(error, _OF_A_STATEMENT)
    return any(kind.__name__ in _OF_A_CACHE.get(kind.__module__, ()) for kind in type(error).__mro__)


def drop_if_broken(using: str) -> None:
    """Let the next statement open a new connection if this one broke. Inside a transaction nothing can follow."""
    connection = connections[using]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


@contextmanager
def known_by(written: QuerySet[Any]) -> Iterator[None]:
    """Take what fails inside for done if *written* finds it. Its acknowledgement was lost then (I22).

    Args:
        written: What nobody else writes: a random value, or the time of this very statement. It is asked where it is
            written.
    """
    try:
        yield
    except (OperationalError, InterfaceError):
        drop_if_broken(written.db)
        if connections[written.db].in_atomic_block or not written.exists():
            raise


def retry_on_conflict(work: Callable[[], T]) -> T:
    """Run *work*, retrying when the database aborts it with a serialization failure or deadlock.

    Inside a transaction it runs once: only the outermost block can retry.

    Args:
        work: One transaction of its own, or one statement.

    Raises:
        DatabaseError: The last attempt was aborted too, or *work* failed in another way.
    """
    started = time.monotonic()
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except DatabaseError as error:
            # The first attempt may have waited long for a lock. It is retried once all the same.
            is_late = attempt > 0 and time.monotonic() - started > RETRY_TIME
            is_last = attempt == ATTEMPTS - 1 or is_late
            if is_last or _is_in_transaction() or not is_conflict(error):
                raise
        # A random pause, so that concurrent transactions do not collide a second time.
        time.sleep(random.uniform(0, PAUSE * 2 ** min(attempt, DOUBLINGS)))  # noqa: S311 - guessing the pause gains nothing
    raise AssertionError("unreachable")


def retries_on_conflict(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function whose effects are all in one transaction, or come after it: see :func:`retry_on_conflict`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return retry_on_conflict(lambda: function(*args, **kwargs))

    return run


def _is_in_transaction() -> bool:
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))
