"""Start the delivery of back-channel logouts: in a thread of this process, or by Celery where the settings say so.

The rows say what is to be delivered; a thread or worker only looks at them. If a process ends, a broker is down or a
message is lost, the rows wait for the next start: of a process, of the beat task, or of the command.

Not here: which rows are due, and how a client is called (:mod:`.backchannel`).
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from django.db import connections

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.background import Threads, run_guarded, send_task

logger = logging.getLogger("django_lazyauth.logout")

TASK: Final = "django_lazyauth.deliver_logout"
#: Seconds after which a message is of no use to a worker any more: beat sends another one.
MESSAGE_LIFETIME: Final = 300
#: Clients that one process calls at the same time.
THREADS: Final = 4
#: Seconds between two looks at the rows: another process may have put some off, and clocks differ.
LONGEST_SLEEP: Final = 60.0
SHORTEST_SLEEP: Final = 0.2

#: One thread looks at the rows. One more start may wait: it looks again after the first.
_threads = Threads("logout", threads=1, queue=1, daemon=True)


def send(session_id: str) -> None:
    """Start the delivery to the client of a session. Never raises: the session has ended in any case."""
    try:
        if lazyauth_settings.backchannel_logout_runner == "celery":
            send_message(session_id)
        else:
            _threads.submit(_deliver_all)
    except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
        logger.error("the delivery of a logout could not be started: %s", type(error).__name__)


def send_message(session_id: str, *, countdown: float = 0) -> None:
    """Have a Celery worker deliver in *countdown* seconds. Raises what the broker's library raises."""
    send_task(TASK, (session_id,), lifetime=MESSAGE_LIFETIME, countdown=countdown)


def _deliver_all() -> None:
    """Deliver what is due until nothing waits any more, or another start wants to look."""
    pause = _deliver_due()
    while pause is not None and not _threads.wait_for_work(pause):
        pause = _deliver_due()


def _deliver_due() -> float | None:
    """Try what is due; return how long to sleep, ``None`` where nothing waits any more."""
    from . import backchannel

    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="lazyauth-logout") as executor:
            tried: set[int] = set()
            while pks := [pk for pk in backchannel.due() if pk not in tried]:
                list(executor.map(_deliver, pks))
                tried.update(pks)
        seconds = backchannel.seconds_to_next()
    except Exception as error:  # noqa: BLE001 - the database is down; nobody reads what a thread raises.
        logger.error("the delivery of logouts failed: %s", type(error).__name__)
        return LONGEST_SLEEP
    finally:
        connections.close_all()
    return None if seconds is None else min(max(seconds, SHORTEST_SLEEP), LONGEST_SLEEP)


def _deliver(pk: int) -> None:
    """Try one row. A failure must not keep the other rows waiting."""
    from . import backchannel

    run_guarded(partial(backchannel.deliver, pk), "the delivery of a logout failed")
