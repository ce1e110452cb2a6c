"""Note when a periodic task ran, so that operators see that cron or Celery beat is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import DatabaseError, InterfaceError, router
from django.utils import timezone

from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.retry import drop_if_broken
from django_lazyauth.models import PeriodicRun

from .schedule import JOBS

#: Task → after which time its next run is overdue.
OVERDUE_AFTER: Final = {job.name: job.overdue for job in JOBS}


@contextmanager
def noted(name: str) -> Iterator[None]:
    """Note that the task *name* runs, and how it ended. A database that fails here stops no task."""
    _write(name, started_at=timezone.now(), finished_at=None, error="")
    try:
        yield
    except Exception as error:
        # Whatever a task raises is for the caller. The overview says only which kind of error it was.
        _write(name, finished_at=timezone.now(), error=type(error).__name__[:128])
        measure.count(measure.JOBS, name, "failed")
        raise
    measure.count(measure.JOBS, name, "done")
    _write(name, finished_at=timezone.now(), error="")


def _write(name: str, **values: object) -> None:
    using = router.db_for_write(PeriodicRun)
    try:
        rows = PeriodicRun.objects.using(using)
        if not rows.filter(pk=name).update(**values) and "started_at" in values:
            rows.bulk_create([PeriodicRun(name=name, **values)], ignore_conflicts=True)
    except (DatabaseError, InterfaceError):
        drop_if_broken(using)
