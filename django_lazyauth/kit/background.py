"""Who flies: a thread of this process, or a Celery worker where ``DISCOVERY_RUNNER`` says so.

Both get the names of a cache and a key and a token, nothing else. A worker that never comes costs 3 seconds: then
whoever asks next flies it in a thread, and the token lets one of the two in.
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from django.db import connections

from django_lazyauth.conf import lazyauth_settings

if TYPE_CHECKING:
    from django_lazyauth.openid.single_flight import SingleFlight

logger = logging.getLogger("django_lazyauth.openid")

#: Threads of this process that fetch, and flights that wait for one. A full queue is emptied within the 120 s
#: after which a flight is abandoned: 8 at a time, 10 s each at most.
THREADS: Final = 8
QUEUE_LIMIT: Final = 64
#: Seconds after which a message is of no use to a worker any more.
MESSAGE_LIFETIME: Final = 60
TASK: Final = "django_lazyauth.fly"


class Pool:
    """Bounded threads of one process; made on first use, and anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._places = threading.BoundedSemaphore(THREADS + QUEUE_LIMIT)

    def submit(self, name: str, key: str, token: str) -> bool:
        """Fly soon; ``False`` if too many wait already. Then the flight is taken over by a later drive."""
        with self._lock:
            if not self._places.acquire(blocking=False):
                return False
            if self._executor is None:
                self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="lazyauth-flight")
            self._executor.submit(self._fly, name, key, token)
        return True

    def _fly(self, name: str, key: str, token: str) -> None:
        try:
            fly(name, key, token)
        except Exception as error:  # noqa: BLE001 - the cache is down; nobody reads what this thread raises.
            logger.error("flight of %s: %s", name, type(error).__name__)
        finally:
            self._places.release()
            # A cache in the database has a connection of this thread's own.
            connections.close_all()


_by_name: dict[str, SingleFlight] = {}
_pool = Pool()


def _start_anew() -> None:
    global _pool
    _pool = Pool()


os.register_at_fork(after_in_child=_start_anew)


def register(flights: SingleFlight) -> SingleFlight:
    """Make a cache known by its name, so that a worker finds it."""
    _by_name[flights.name] = flights
    return flights


def fly(name: str, key: str, token: str) -> None:
    """Fly here and now."""
    _by_name[name].fly(key, token)


def send(name: str, key: str, token: str) -> None:
    """Have a flight flown."""
    if lazyauth_settings.discovery_runner == "celery" and _send_message(name, key, token):
        return
    send_thread(name, key, token)


def send_thread(name: str, key: str, token: str) -> None:
    """Have it flown by a thread of this process."""
    if not _pool.submit(name, key, token):
        logger.error("flight of %s: too many are waiting in this process", name)


def _send_message(name: str, key: str, token: str) -> bool:
    from celery import current_app

    try:
        current_app.send_task(
            TASK, args=[name, key, token], expires=MESSAGE_LIFETIME, ignore_result=True, retry=False
        )
    except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
        logger.error("Celery took no flight: %s", type(error).__name__)
        return False
    return True
