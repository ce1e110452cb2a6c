"""Run work in the background: in a bounded number of threads of this process, or as a Celery task.

Work can be lost when a process dies or a broker loses a message. The caller must be able to start it again.

Not here: the work itself, and the setting that chooses between the two.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections

from .log import log_failure

logger = logging.getLogger("django_lazyauth")


@dataclass(frozen=True, slots=True)
class Share:
    """The most that work of one name takes of some threads, so that others find a thread.

    Attributes:
        threads: Those that run such work at the same time, one at least.
        queue: Such work that may wait for a thread.
    """

    name: str
    threads: int
    queue: int


@dataclass(frozen=True, slots=True)
class _Work:
    run: Callable[[], object]
    shares: tuple[Share, ...]


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
        self._waiting: deque[_Work] = deque()
        self._unfinished = 0
        self._started = 0
        #: By the name of a share.
        self._running_of: Counter[str] = Counter()
        self._unfinished_of: Counter[str] = Counter()

    def submit(self, work: Callable[[], object], *shares: Share) -> bool:
        """Run *work* soon; ``False`` if too much is waiting already.

        Args:
            shares: It counts in each of them. Work that waits for a share lets other work pass.
        """
        with self._changed:
            if self._unfinished >= self.threads + self.queue:
                return False
            if any(self._unfinished_of[share.name] >= share.threads + share.queue for share in shares):
                return False
            self._unfinished += 1
            self._unfinished_of.update(share.name for share in shares)
            self._waiting.append(_Work(work, shares))
            self._start_thread()
            self._changed.notify_all()
        return True

    def _start_thread(self) -> None:
        if self._started < self.threads:
            threading.Thread(target=self._run, name=f"lazyauth-{self.name}", daemon=self.daemon).start()
            self._started += 1

    def wait_for_work(self, seconds: float) -> bool:
        """Sleep until *seconds* have passed (``False``) or other work waits for a thread (``True``)."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting), timeout=seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                work = self._next()
                if work is None:
                    self._started -= 1
                    return
                self._waiting.remove(work)
                self._running_of.update(share.name for share in work.shares)
                if self._next() is not None:
                    # What ended just now may have been in the way of several.
                    self._start_thread()
            run_guarded(work.run, f"background work ({self.name}) failed")
            with self._changed:
                self._unfinished -= 1
                for share in work.shares:
                    _count_down(self._running_of, share.name)
                    _count_down(self._unfinished_of, share.name)

    def _next(self) -> _Work | None:
        """Return the work that has waited longest among that whose shares have a thread left."""
        for work in self._waiting:
            if all(self._running_of[share.name] < share.threads for share in work.shares):
                return work
        return None


def _count_down(counter: Counter[str], name: str) -> None:
    """Count one less, and forget a name that counts nothing: strangers choose them."""
    counter[name] -= 1
    if not counter[name]:
        del counter[name]


def run_guarded(work: Callable[[], object], failure: str) -> None:
    """Run *work* in a thread of its own: log what it raises as *failure*, and close its database connections."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - nobody reads what a thread raises
        log_failure(logger, failure, error)
    finally:
        connections.close_all()


class MessageLost(Exception):
    """The broker did not take the message in time, or has just failed. Whether it takes it later is unknown."""


#: Seconds for which a caller waits for the broker.
HAND_OFF_TIME: Final = 0.5
#: Seconds that one operation on a broker's socket may take. Without a limit a broker that hangs keeps the thread.
SOCKET_TIME: Final = 1.0

#: Seconds after a failure in which no message is tried. Those that wait in the queue are not worth a second each.
REST_TIME: Final = 1.0


class _Rest:
    """Until when the broker of this process is left alone."""

    ends_at = 0.0

    def begin(self) -> None:
        self.ends_at = time.monotonic() + REST_TIME

    def check(self) -> None:
        if time.monotonic() < self.ends_at:
            raise MessageLost


_rest = _Rest()

#: Sends messages for callers that do not wait for the broker, or only so long.
_senders = Threads("messages", threads=2, queue=100, daemon=True)


def start_task(name: str, args: Sequence[object], *, lifetime: float, countdown: float = 0) -> Future[None]:
    """Have the Celery task *name* run by a worker. Does not wait for the broker.

    Args:
        args: JSON.
        lifetime: Seconds after *countdown* in which a worker may start it.
        countdown: Seconds until a worker may start it.

    Returns:
        Done when the broker has the message, or holds what the transport's library raised.

    Raises:
        MessageLost: Too many messages wait for the broker already.
    """
    from celery import current_app

    # Celery keeps it for each thread.
    app = current_app._get_current_object()
    sent: Future[None] = Future()

    def send() -> None:
        try:
            _rest.check()
            _send(app, name, args, lifetime=lifetime, countdown=countdown)
        except MessageLost as lost:
            sent.set_exception(lost)
        except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
            _rest.begin()
            sent.set_exception(error)
        else:
            sent.set_result(None)

    if not _senders.submit(send):
        raise MessageLost
    return sent


def send_task(name: str, args: Sequence[object], *, lifetime: float, countdown: float = 0) -> None:
    """Like :func:`start_task`, and wait for the broker, at most :data:`HAND_OFF_TIME`.

    Raises:
        MessageLost: The broker did not answer in time, or too many messages wait for it already.
        Exception: The broker did not take the message. Each transport raises errors of its own library.
    """
    try:
        start_task(name, args, lifetime=lifetime, countdown=countdown).result(timeout=HAND_OFF_TIME)
    except TimeoutError:
        raise MessageLost from None


def _send(app: Any, name: str, args: Sequence[object], *, lifetime: float, countdown: float) -> None:
    limits = {
        "connect_timeout": SOCKET_TIME,
        "read_timeout": SOCKET_TIME,
        "write_timeout": SOCKET_TIME,
        "socket_connect_timeout": SOCKET_TIME,
        "socket_timeout": SOCKET_TIME,
        "max_retries": 0,
        "connect_retries_timeout": SOCKET_TIME,
    }
    with app.connection_for_write(connect_timeout=SOCKET_TIME, transport_options=limits) as connection:
        app.send_task(
            name,
            args=list(args),
            countdown=countdown or None,
            expires=countdown + lifetime,
            ignore_result=True,
            retry=False,
            connection=connection,
        )
