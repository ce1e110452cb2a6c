"""Run the periodic jobs without Celery: all in a loop, or the sweep when nobody else runs it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from django.db import close_old_connections, connections
from django.utils import timezone

from django_lazyauth.kit.background import Threads
from django_lazyauth.kit.log import log_failure
from django_lazyauth.models import PeriodicRun
from django_lazyauth.providers import key_refresh
from django_lazyauth.sessions import backchannel

from .periodic import noted
from .schedule import JOBS, KEYS, LOGOUTS, SWEEP, Job
from .sweep import sweep

logger = logging.getLogger("django_lazyauth")

#: Rows of one transaction of a sweep beside requests: SQLite has one writer at a time.
SMALL_BITE: Final = 50


def run(job: Job) -> bool:
    """Run *job* here and now. A failure is logged, and returned as ``False``: the next run tries again."""
    try:
        with noted(job.name):
            _WORK[job.name]()
    except Exception as error:  # noqa: BLE001 - a worker goes on, whatever the database or a host's class raises.
        log_failure(logger, f"{job.name} failed", error)
        return False
    return True


def run_until(stop: threading.Event) -> None:
    """Run each job at once and then at its interval, until *stop* is set. A job that runs ends first."""
    due = dict.fromkeys(JOBS, time.monotonic())
    try:
        while not stop.is_set():
            job = min(due, key=lambda one: due[one])
            if stop.wait(max(0.0, due[job] - time.monotonic())):
                return
            close_old_connections()
            run(job)
            due[job] = time.monotonic() + job.every.total_seconds()
    finally:
        # Its thread may end here.
        connections.close_all()


def _sweep(batch_size: int | None = None) -> None:
    for _ in sweep() if batch_size is None else sweep(batch_size=batch_size):
        pass


_WORK: Final[Mapping[str, Callable[[], object]]] = {
    SWEEP.name: _sweep,
    KEYS.name: key_refresh.refresh_providers,
    LOGOUTS.name: backchannel.deliver_due,
}

# -- on use ------------------------------------------------------------------------------------------------

_thread: Final = Threads("sweep", threads=1, queue=0, daemon=True)


class _OnUse:
    """When this process looks next whether a sweep is overdue. A process looks first when it is that old."""

    def __init__(self) -> None:
        self.looks_at = time.monotonic() + SWEEP.overdue.total_seconds()


_on_use = _OnUse()


def sweep_if_overdue() -> None:
    """Sweep in a thread, if neither cron nor a worker did so for an hour. Costs a look at the clock elsewhere."""
    now = time.monotonic()
    if now < _on_use.looks_at:
        return
    _on_use.looks_at = now + SWEEP.overdue.total_seconds()
    _thread.submit(_sweep_if_overdue)


def _sweep_if_overdue() -> None:
    limit: timedelta = SWEEP.overdue
    if PeriodicRun.objects.filter(pk=SWEEP.name, started_at__gt=timezone.now() - limit).exists():
        return
    with noted(SWEEP.name):
        _sweep(SMALL_BITE)
