"""Two transactions want the same rows, and the database gives one of them up: do that one again.

Under READ COMMITTED whoever comes second waits instead. A stricter isolation level is the host's choice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.db import OperationalError

#: Who lost against somebody else's transaction finds on the next try what that one did.
ATTEMPTS: Final = 5
#: Seconds to wait at most before the second try, twice that before the third, and so on.
PAUSE: Final = 0.02

#: serialization_failure, deadlock_detected (PostgreSQL, appendix A).
SQLSTATES: Final = frozenset({"40001", "40P01"})
#: Record changed since last read, lock wait timeout, deadlock (MariaDB, MySQL).
MYSQL_ERRORS: Final = frozenset({1020, 1205, 1213})

T = TypeVar("T")


def in_spite_of_others(action: Callable[[], T]) -> T:
    """Do *action*, a transaction of its own, and do it again where it was given up for another one's sake."""
    for attempt in range(1, ATTEMPTS):
        try:
            return action()
        except OperationalError as error:
            if not lost_to_another(error):
                raise
        time.sleep(random.uniform(0, PAUSE * attempt))  # noqa: S311 - so that losers do not meet again
    return action()


def lost_to_another(error: OperationalError) -> bool:
    """Say whether the database rolled a transaction back only because of another one: a new try may succeed."""
    cause: Any = error.__cause__
    return (
        getattr(cause, "sqlstate", None) in SQLSTATES
        or getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        or (bool(error.args) and error.args[0] in MYSQL_ERRORS)
    )
