"""Who tells clients that sessions ended: a thread of this process, or Celery where the settings say so.

The rows are the truth; whoever is woken here only looks at them. A process that dies, a broker that is down, a
message that is lost: the rows wait for the next process that is woken, for the beat task, or for the command.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.db import connections

from django_lazyauth.conf import lazyauth_settings

logger = logging.getLogger("django_lazyauth.logout")

TASK: Final = "django_lazyauth.deliver_logout"
#: Seconds after which a message is of no use to a worker any more: beat sends another one.
MESSAGE_LIFETIME: Final = 300
#: Clients that one process talks to at the same time.
THREADS: Final = 4
#: Seconds between two looks at the rows: another process may have put some off, and clocks differ.
LONGEST_SLEEP: Final = 60.0
SHORTEST_SLEEP: Final = 0.2


def send(session_id: str) -> None:
    """Have a client told soon. Never raises: the session is over, whoever hears of it."""
    try:
        if lazyauth_settings.backchannel_logout_runner == "celery":
            send_message(session_id)
        else:
            _thread.wake()
    except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
        logger.error("nobody took the delivery of a logout: %s", type(error).__name__)


def send_message(session_id: str, *, countdown: float = 0) -> None:
    """Send a Celery worker, in *countdown* seconds. Raises what the broker's library raises."""
    from celery import current_app

    current_app.send_task(
        TASK,
        args=[session_id],
        countdown=countdown or None,
        expires=countdown + MESSAGE_LIFETIME,
        ignore_result=True,
        retry=False,
    )


class _Postman:
    """One thread per process, which lives while something waits; made on first use, and anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        with self._lock:
            self._woken.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lazyauth-postman", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            pause = _work()
            with self._lock:
                if pause is None and not self._woken.is_set():
                    self._thread = None
                    return
            self._woken.wait(pause if pause is not None else 0)


def _work() -> float | None:
    """Try what is due; return how long to sleep, ``None`` where nothing waits any more."""
    from . import backchannel

    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="lazyauth-postman") as executor:
            tried: set[int] = set()
            while pks := [pk for pk in backchannel.due() if pk not in tried]:
                list(executor.map(_in_thread(backchannel.deliver), pks))
                tried.update(pks)
        seconds = backchannel.seconds_to_next()
    except Exception as error:  # noqa: BLE001 - the database is down; nobody reads what this thread raises.
        logger.error("the delivery of logouts failed: %s", type(error).__name__)
        return LONGEST_SLEEP
    finally:
        connections.close_all()
    return None if seconds is None else min(max(seconds, SHORTEST_SLEEP), LONGEST_SLEEP)


def _in_thread(work: Callable[[int], Any]) -> Callable[[int], None]:
    def run(pk: int) -> None:
        try:
            work(pk)
        except Exception as error:  # noqa: BLE001 - one row must not keep the others waiting.
            logger.error("the delivery of a logout failed: %s", type(error).__name__)
        finally:
            connections.close_all()

    return run


_thread = _Postman()


def _start_anew() -> None:
    global _thread
    _thread = _Postman()


os.register_at_fork(after_in_child=_start_anew)
