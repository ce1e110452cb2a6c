"""Tell a client that a session of its ended (OpenID Connect Back-Channel Logout 1.0).

What has to be told is a row, written in the transaction that ended the session: it is there if and only if the
session is over. After the commit somebody tries: a thread of this process, or a Celery worker. Whoever claims the
row tries once, with no transaction open; a try that failed leaves the row waiting, twice as long each time, until the
client heard it, refused it, or ``BACKCHANNEL_LOGOUT_ATTEMPTS`` are over.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import Min
from django.db.models.functions import Now
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit import fetch
from django_lazyauth.models import DeliveryState, LogoutDelivery
from django_lazyauth.tokens.logout_token import make_logout_token
from django_lazyauth.toolkit import clients

from . import delivery

logger = logging.getLogger("django_lazyauth.logout")

#: Bytes of an answer: its status is all that counts.
ANSWER_LIMIT: Final = 16 * 1024
LONGEST_PAUSE: Final = timedelta(hours=1)
#: Rows that one round looks at before it looks again.
ROUND: Final = 1000


def _database() -> str:
    return router.db_for_write(LogoutDelivery)


def note(session_id: UUID, client: clients.Client, *, subject: str) -> None:
    """Write down that *client* has to hear of the end of a session, in the caller's transaction; once."""
    if not clients.backchannel_logout_uri(client):
        return
    row = LogoutDelivery(session_id=session_id, client=client, subject=subject, next_attempt_at=Now())
    LogoutDelivery.objects.bulk_create([row], ignore_conflicts=True)
    transaction.on_commit(lambda: delivery.send(str(session_id)), using=_database(), robust=True)


def deliver(pk: int) -> timedelta | None:
    """Try once to tell the client, if nobody else does; return when to come again, ``None`` if there is no need.

    Raises:
        RuntimeError: A transaction is open, which the network would keep waiting.
    """
    if connections[_database()].in_atomic_block:
        raise RuntimeError("Clients are told outside of transactions.")
    delivery = LogoutDelivery.objects.claim(pk)
    if delivery is None:
        return None
    error = _tell(delivery)
    if not error:
        LogoutDelivery.objects.settle(
            delivery, state=DeliveryState.DELIVERED, next_attempt_at=None, last_error=""
        )
        return None
    return _postpone(delivery, error)


def deliver_session(session_id: str) -> timedelta | None:
    """The same, by the session that ended."""
    pk = LogoutDelivery.objects.waiting().filter(session_id=session_id).values_list("pk", flat=True).first()
    return deliver(pk) if pk is not None else None


def _tell(delivery: LogoutDelivery) -> str:
    """Return why the client did not hear it, in one word; empty if it did."""
    client = delivery.client
    uri = clients.backchannel_logout_uri(client)
    if not uri:
        return "no_uri"
    policy = fetch.STRANGER if clients.is_self_registered(client) else fetch.OPERATOR
    try:
        token = make_logout_token(client=client, subject=delivery.subject, session_id=delivery.session_id)
        response = fetch.post_form(
            uri,
            {"logout_token": token},
            policy=policy,
            max_bytes=ANSWER_LIMIT,
            deadline=lazyauth_settings.backchannel_logout_timeout.total_seconds(),
        )
    except fetch.FetchError as error:
        return error.reason
    except Exception as error:  # noqa: BLE001 - a key that cannot be read, say; the row waits until it can.
        return type(error).__name__
    return "" if 200 <= response.status < 300 else str(response.status)


#: It will not be told another time: the client says that the token is no good (§2.8), or wants none any more.
FINAL: Final = {str(HTTPStatus.BAD_REQUEST.value): DeliveryState.REFUSED, "no_uri": DeliveryState.GIVEN_UP}


def _postpone(delivery: LogoutDelivery, error: str) -> timedelta | None:
    values: dict[str, Any] = {"last_error": error[:64]}
    state = FINAL.get(error)
    if state is None and delivery.attempts >= lazyauth_settings.backchannel_logout_attempts:
        state = DeliveryState.GIVEN_UP
    if state is not None:
        LogoutDelivery.objects.settle(delivery, state=state, next_attempt_at=None, **values)
        logger.warning(
            "client %s was not told that a session ended: %s after %d attempts (%s)",
            delivery.client.client_id,
            state.value,
            delivery.attempts,
            error,
        )
        return None
    pause = pause_after(delivery.attempts)
    LogoutDelivery.objects.settle(delivery, next_attempt_at=Now() + pause, **values)
    return pause


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failed tries: twice as long each time, an hour at most."""
    # Bounded before it is doubled: a number of seconds has an end.
    doubled: timedelta = lazyauth_settings.backchannel_logout_pause * 2 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_PAUSE)


# -- what waits --------------------------------------------------------------------------------------------


def due() -> list[int]:
    """Return what should be tried now, some at a time."""
    return list(LogoutDelivery.objects.due().values_list("pk", flat=True)[:ROUND])


def due_sessions() -> list[str]:
    """The same, by the sessions that ended."""
    return [str(key) for key in LogoutDelivery.objects.due().values_list("session_id", flat=True)[:ROUND]]


def seconds_to_next() -> float | None:
    """Return in how many seconds the next try is due, ``None`` if none is."""
    earliest = LogoutDelivery.objects.waiting().aggregate(at=Min("next_attempt_at"))["at"]
    if earliest is None:
        return None
    return max(0.0, float((earliest - timezone.now()).total_seconds()))


def deliver_due() -> int:
    """Try everything that is due, one after the other, and return how much that was."""
    count = 0
    tried: set[int] = set()
    while pks := [pk for pk in due() if pk not in tried]:
        for pk in pks:
            deliver(pk)
        tried.update(pks)
        count += len(pks)
    return count
