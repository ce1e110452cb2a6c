"""Begin again what the database broke off because somebody else was faster.

At READ COMMITTED the loser of a conditional UPDATE changes no row and says so. At REPEATABLE READ and SERIALIZABLE
(PostgreSQL, MariaDB with snapshot isolation), in a deadlock, and on SQLite where two readers want to write, the
database refuses the loser instead. To look again gives it the same answer: nothing was written.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from django.db import DatabaseError, connections

T = TypeVar("T")
P = ParamSpec("P")

#: serialization_failure, deadlock_detected (PostgreSQL, Appendix A).
SQLSTATES: Final = frozenset({"40001", "40P01"})
#: MySQL, MariaDB: ER_LOCK_DEADLOCK; ER_CHECKREAD, "record has changed since last read".
ERROR_NUMBERS: Final = frozenset({1213, 1020})
ATTEMPTS: Final = 6
#: Seconds after which nothing is begun again, and that the first pause lasts at most.
PATIENCE: Final = 3.0
PAUSE: Final = 0.02


def is_lost_race(error: Exception) -> bool:
    """Say whether the database refused a loser: all that its transaction did is undone, and may be done again."""
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in SQLSTATES or getattr(cause, "pgcode", None) in SQLSTATES:
        return True
    if error.args and error.args[0] in ERROR_NUMBERS:
        return True
    return getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def pause(attempt: int) -> None:
    """Let the others go first, each loser for another while."""
    time.sleep(random.uniform(0, PAUSE * 2**attempt))  # noqa: S311 - nobody gains by guessing it


def again(work: Callable[[], T]) -> T:
    """Return what *work* returns: a transaction of its own or one statement, begun again where it lost a race.

    Inside a transaction it runs once: what is broken there is all of it, and who opened it begins again.

    Raises:
        DatabaseError: It lost too often, or failed in another way.
    """
    started = time.monotonic()
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except DatabaseError as error:
            # However long it waited for the other before it was refused, it looks again once.
            late = attempt > 0 and time.monotonic() - started > PATIENCE
            over = attempt == ATTEMPTS - 1 or late
            if over or _is_in_transaction() or not is_lost_race(error):
                raise
        pause(attempt)
    raise AssertionError("unreachable")


def begun_again(function: Callable[P, T]) -> Callable[P, T]:
    """Make :func:`again` of a function whose effects are all in one transaction, or come after it."""

    @wraps(function)
    def work(*args: P.args, **kwargs: P.kwargs) -> T:
        return again(lambda: function(*args, **kwargs))

    return work


def _is_in_transaction() -> bool:
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))
