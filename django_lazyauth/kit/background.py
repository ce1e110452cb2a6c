"""Run work in the background: in a bounded number of threads of this process, or as a Celery task.

Work can be lost when a process dies or a broker loses a message. The caller must be able to start it again.

Not here: the work itself, and the setting that chooses between the two.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from django.db import connections

from .log import log_failure

logger = logging.getLogger("django_lazyauth")


class Threads:
    """At most *threads* threads of this process. They start when there is work, and end when there is none.

    Args:
        name: Names the threads, and the work in the log.
        threads: Threads that run at the same time.
        queue: Work that may wait for a thread.
        daemon: Whether a process that ends drops running work; otherwise it waits for it.
    """

    def __init__(self, name: str, *, threads: int, queue: int, daemon: bool = False) -> None:
        self.name = name
        self.threads = threads
        self.queue = queue
        self.daemon = daemon
        self._reset()
        # Of a process that forks, only the forking thread lives on in the child.
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], object]] = deque()
        self._unfinished = 0
        self._started = 0

    def submit(self, work: Callable[[], object]) -> bool:
        """Run *work* soon; ``False`` if too much is waiting already."""
        with self._changed:
            if self._unfinished >= self.threads + self.queue:
                return False
            if self._started < self.threads:
                threading.Thread(target=self._run, name=f"lazyauth-{self.name}", daemon=self.daemon).start()
                self._started += 1
            self._unfinished += 1
            self._waiting.append(work)
            self._changed.notify_all()
        return True

    def wait_for_work(self, seconds: float) -> bool:
        """Sleep until *seconds* have passed (``False``) or other work waits for a thread (``True``)."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting), timeout=seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._started -= 1
                    return
                work = self._waiting.popleft()
            run_guarded(work, f"background work ({self.name}) failed")
            with self._changed:
                self._unfinished -= 1


def run_guarded(work: Callable[[], object], failure: str) -> None:
    """Run *work* in a thread of its own: log what it raises as *failure*, and close its database connections."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - nobody reads what a thread raises
        log_failure(logger, failure, error)
    finally:
        connections.close_all()


def send_task(name: str, args: Sequence[object], *, lifetime: float, countdown: float = 0) -> None:
    """Have the Celery task *name* run by a worker.

    Args:
        args: JSON.
        lifetime: Seconds after *countdown* in which a worker may start it.
        countdown: Seconds until a worker may start it.

    Raises:
        Exception: The broker did not take the message. Each transport raises errors of its own library.
    """
    from celery import current_app

    current_app.send_task(
        name,
        args=list(args),
        countdown=countdown or None,
        expires=countdown + lifetime,
        ignore_result=True,
        retry=False,
    )
