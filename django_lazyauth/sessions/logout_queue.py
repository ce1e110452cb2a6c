"""Record that a client must be told of an ended session, and start the delivery: in a thread, or by Celery.

The row is written in the transaction that ends the session, so it exists exactly if the session ended. Threads and
workers only read rows. If a process ends, a broker is down or a message is lost, the row waits for the next process,
the beat task or the command.

Not here: which rows are due, and how a client is called (``backchannel``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models.functions import Now
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.background import Threads, run_guarded, send_task, start_task
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import DeliveryState, LogoutDelivery
from django_lazyauth.toolkit import clients
from django_lazyauth.users.subjects import told_subjects

from . import backchannel

logger = logging.getLogger("django_lazyauth.logout")

TASK: Final = "django_lazyauth.deliver_logout"
#: Seconds after which a message expires. The beat task sends another one.
MESSAGE_LIFETIME: Final = 300
#: Clients that one process calls at the same time.
THREADS: Final = 4
#: Bounds of the seconds between two queries: another process may have postponed rows, and clocks differ.
LONGEST_SLEEP: Final = 60.0
SHORTEST_SLEEP: Final = 0.2

#: One thread reads the rows. One more start may wait and reads them after the first.
_threads = Threads("logout", threads=1, queue=1, daemon=True)


def note(session_id: UUID, client: clients.Client, *, user_pk: Any) -> None:
    """Record once, in the caller's transaction, that *client* must be told of the end of a session."""
    if not clients.backchannel_logout_uri(client):
        return
    using = router.db_for_write(LogoutDelivery)
    subject = told_subjects({session_id: (user_pk, client)})[session_id]
    row = LogoutDelivery(session_id=session_id, client=client, subject=subject, next_attempt_at=Now())
    LogoutDelivery.objects.bulk_create([row], ignore_conflicts=True)
    transaction.on_commit(lambda: send(str(session_id)), using=using, robust=True)


@retries_on_conflict
def retry(pks: Iterable[int]) -> list[int]:
    """Let deliveries begin anew that were given up or refused, and return their keys. One that waits is due at once."""
    using = router.db_for_write(LogoutDelivery)
    with transaction.atomic(using=using):
        rows = (
            LogoutDelivery.objects.using(using)
            .filter(pk__in=list(pks))
            .exclude(state=DeliveryState.DELIVERED)
        )
        found = dict(rows.order_by("pk").select_for_update().values_list("pk", "session_id"))
        LogoutDelivery.objects.using(using).filter(pk__in=found).update(
            state=DeliveryState.WAITING,
            attempts=0,
            next_attempt_at=Now(),
            updated_at=timezone.now(),
        )
        for session_id in found.values():
            transaction.on_commit(partial(send, str(session_id)), using=using, robust=True)
    return list(found)


def send(session_id: str) -> None:
    """Start the delivery to the client of a session. Never raises or waits: the session has ended in any case."""
    try:
        if lazyauth_settings.backchannel_logout_runner == "celery":
            start_task(TASK, (session_id,), lifetime=MESSAGE_LIFETIME).add_done_callback(_log_lost)
        else:
            _threads.submit(_deliver_all)
    except Exception as error:  # noqa: BLE001 - a thread may not start; the row waits.
        logger.error("the delivery of a logout could not be started: %s", type(error).__name__)


def _log_lost(sent: Future[None]) -> None:
    error = sent.exception()
    if error is not None:
        logger.error("no broker took the message of a logout: %s", type(error).__name__)


def send_message(session_id: str, *, countdown: float = 0) -> None:
    """Have a Celery worker deliver in *countdown* seconds. Raises what the broker's library raises."""
    send_task(TASK, (session_id,), lifetime=MESSAGE_LIFETIME, countdown=countdown)


def _deliver_all() -> None:
    """Deliver what is due until nothing waits any more, or another start is queued."""
    pause = _deliver_due()
    while pause is not None and not _threads.wait_for_work(pause):
        pause = _deliver_due()


def _deliver_due() -> float | None:
    """Try all due deliveries. Return the seconds until the next one, ``None`` if nothing waits."""
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
    """Try one delivery. An error does not stop the others."""
    run_guarded(partial(backchannel.deliver, pk), "the delivery of a logout failed")
