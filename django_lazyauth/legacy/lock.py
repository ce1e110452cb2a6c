"""One migration at a time. Without the lock concurrent runs are safe but slower.

The lock is a lease in a row and not a lock of the connection: see :mod:`django_lazyauth.models.lease`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.kit.times import EARLIEST
from django_lazyauth.models import NamedLease

NAME: Final = "migrate_legacy"
#: A run renews it before each batch, which takes well below a second. A run that was killed blocks the next so long.
LEASE_TIME: Final = timedelta(seconds=3)
#: Seconds between two attempts.
PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do the work. Each method is one statement."""

    using: str
    holder: str

    @property
    def _row(self) -> QuerySet[NamedLease]:
        return NamedLease.objects.using(self.using).filter(pk=NAME)

    def take(self) -> bool:
        """Take the lease, or renew it; ``False`` if another process holds it."""
        free = self._row.filter(Q(holder=self.holder) | Q(held_until__lte=Now()))
        values: dict[str, Any] = {"holder": self.holder, "held_until": Now() + LEASE_TIME}
        return bool(retry_on_conflict(lambda: free.update(**values)))

    def release(self) -> None:
        self._row.filter(holder=self.holder).update(holder="", held_until=EARLIEST)


@contextmanager
def one_at_a_time(using: str, *, waiting: Callable[[], None]) -> Iterator[Lease]:
    """Hold the lock during the block. *waiting* is called once if another process has it.

    Whoever works longer than the lease without renewing it may be joined by another process.
    """
    lease = Lease(using, secrets.token_hex(16))
    if not lease.take():
        row = NamedLease(name=NAME, held_until=EARLIEST)
        retry_on_conflict(lambda: NamedLease.objects.using(using).bulk_create([row], ignore_conflicts=True))
        if not lease.take():
            waiting()
            while not lease.take():
                time.sleep(PAUSE)
    try:
        yield lease
    finally:
        with suppress(DatabaseError):  # The connection is gone. The lease ends by itself.
            lease.release()
