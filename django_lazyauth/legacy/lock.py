"""One migration at a time, on databases with named locks. Without the lock concurrent runs are safe but slower."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from django.db import DatabaseError, connections

NAME: Final = "django_lazyauth.migrate_legacy"
#: Seconds between two attempts.
PAUSE: Final = 0.5


@contextmanager
def one_at_a_time(using: str, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock during the block. *waiting* is called once if another process has it.

    The lock belongs to the connection, so it ends with the process.
    """
    take, release = _calls(using)
    if take is None:
        yield
        return
    if not _value(using, *take):
        waiting()
        while not _value(using, *take):
            time.sleep(PAUSE)
    try:
        yield
    finally:
        with suppress(DatabaseError):  # The connection is gone, and the lock with it.
            _value(using, *release)


def _calls(using: str) -> tuple[Any, Any]:
    connection = connections[using]
    if connection.vendor == "postgresql":
        key = int.from_bytes(hashlib.sha256(NAME.encode()).digest()[:8], "big", signed=True)
        return ("SELECT pg_try_advisory_lock(%s)", key), ("SELECT pg_advisory_unlock(%s)", key)
    if connection.vendor == "mysql":
        # The lock belongs to the whole server, so its name has the database. Names have at most 64 characters.
        database = hashlib.sha256(str(connection.settings_dict["NAME"]).encode()).hexdigest()[:24]
        name = f"{NAME}.{database}"
        return ("SELECT GET_LOCK(%s, 0)", name), ("SELECT RELEASE_LOCK(%s)", name)
    return None, None


def _value(using: str, sql: str, parameter: Any) -> bool:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [parameter])
        return bool(cursor.fetchone()[0])
