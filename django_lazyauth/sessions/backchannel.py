"""Deliver logout tokens to clients whose sessions ended (OpenID Connect Back-Channel Logout 1.0).

Each delivery is a row. A worker claims a row and tries once, outside any transaction. After a failure the row waits
twice as long as before, until the client accepts the token, refuses it, or ``BACKCHANNEL_LOGOUT_ATTEMPTS`` is reached.

Not here: how a row is written and which process delivers it (:mod:`.logout_queue`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from django.db import connections, router
from django.db.models import Min
from django.db.models.functions import Now
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit import fetch
from django_lazyauth.models import DeliveryState, LogoutDelivery
from django_lazyauth.tokens.logout_token import make_logout_token
from django_lazyauth.toolkit import clients

logger = logging.getLogger("django_lazyauth.logout")

#: Maximum bytes of an answer. Only its status counts.
ANSWER_LIMIT: Final = 16 * 1024
LONGEST_PAUSE: Final = timedelta(hours=1)
#: Rows of one query.
BATCH: Final = 1000


def _database() -> str:
    return router.db_for_write(LogoutDelivery)


def deliver(pk: int) -> timedelta | None:
    """Try a delivery once, unless another worker has claimed it. Return the pause before the next attempt, if any.

    Raises:
        RuntimeError: A transaction is open. It would span the network call.
    """
    if connections[_database()].in_atomic_block:
        raise RuntimeError("Logout tokens are sent outside of transactions.")
    delivery = LogoutDelivery.objects.claim(pk)
    if delivery is None:
        return None
    error = _send_logout_token(delivery)
    if not error:
        LogoutDelivery.objects.settle(
            delivery, state=DeliveryState.DELIVERED, next_attempt_at=None, last_error=""
        )
        return None
    return _postpone(delivery, error)


def deliver_session(session_id: str) -> timedelta | None:
    """Like :func:`deliver`, for the delivery of *session_id*."""
    pk = LogoutDelivery.objects.waiting().filter(session_id=session_id).values_list("pk", flat=True).first()
    return deliver(pk) if pk is not None else None


def _send_logout_token(delivery: LogoutDelivery) -> str:
    """Send the token and return the error in one word; empty if the client accepted it."""
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
    except Exception as error:  # noqa: BLE001 - for example an unreadable signing key; the row waits.
        return type(error).__name__
    return "" if 200 <= response.status < 300 else str(response.status)


#: Errors that end the attempts: the client refused the token (§2.8), or wants none any more.
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
    """Return the pause after so many failed attempts. It doubles each time, up to an hour."""
    # The exponent is bounded, because a timedelta can overflow.
    doubled: timedelta = lazyauth_settings.backchannel_logout_pause * 2 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_PAUSE)


# -- due deliveries ----------------------------------------------------------------------------------------


def due() -> list[int]:
    """Return the deliveries to try now, at most :data:`BATCH`."""
    return list(LogoutDelivery.objects.due().values_list("pk", flat=True)[:BATCH])


def due_sessions() -> list[str]:
    """Return the sessions of the deliveries to try now, at most :data:`BATCH`."""
    return [str(key) for key in LogoutDelivery.objects.due().values_list("session_id", flat=True)[:BATCH]]


def seconds_to_next() -> float | None:
    """Return the seconds until the next attempt; ``None`` if nothing waits."""
    earliest = LogoutDelivery.objects.waiting().aggregate(at=Min("next_attempt_at"))["at"]
    if earliest is None:
        return None
    return max(0.0, float((earliest - timezone.now()).total_seconds()))


def deliver_due(watch: Callable[[int, int], None] | None = None) -> int:
    """Try all due deliveries, one after the other, and return their number.

    Args:
        watch: Is told after each how many were tried, and how many are known to be due.
    """
    count = 0
    tried: set[int] = set()
    while pks := [pk for pk in due() if pk not in tried]:
        for number, pk in enumerate(pks, count + 1):
            deliver(pk)
            if watch:
                watch(number, count + len(pks))
        tried.update(pks)
        count += len(pks)
    return count
