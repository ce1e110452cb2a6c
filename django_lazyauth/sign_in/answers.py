"""The same final request of the same browser gets the same answer, for 30 seconds and across processes (I23).

A person clicks twice, reloads, or goes back and clicks again. The first click did the work, and the browser may show
the answer of the second. So the answer is kept, sealed under the secret in the flow's binding cookie. Nobody else can
open it, and nobody without that cookie can ask for it.

Not here: which answers are final, and what an answer consists of (``web/repeat``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, IntegrityError, InterfaceError, router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import SealBroken
from django_lazyauth.kit.retry import drop_if_broken, retries_on_conflict, retry_on_conflict
from django_lazyauth.kit.sealed_text import open_sealed, seal
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.models import FlowAnswer, PendingAuthorization, Status
from django_lazyauth.models.fields import digest

logger = logging.getLogger("django_lazyauth.sign_in")

#: How long the same request gets the same answer: as long as the grace of a refresh token.
GRACE: Final = timedelta(seconds=30)
#: How long a second request waits for the first. Then the first counts as lost, and the second does the work.
PATIENCE: Final = timedelta(seconds=10)
#: Answers that one flow keeps. Strangers write these rows, so they are bounded by the rows of flows (I16).
MAX_PER_FLOW: Final = 16
#: Keeps this key apart from whatever else is derived from the secret (RFC 5869 §3.2).
PURPOSE: Final = "django_lazyauth flow answer v1"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the same request got before.

    Attributes:
        pending: The row of the flow; ``None`` if it is gone.
        answer: The kept answer; empty where there is none any more, or where none was kept.
    """

    pending: PendingAuthorization | None
    answer: str = field(repr=False)


@sensitive_variables()
def find_earlier(asked: str, secrets: Iterable[str]) -> Earlier | None:
    """Return what *asked* got before in one of the flows of this browser; wait for one that is being answered.

    Args:
        asked: The whole request as text.
        secrets: Of the binding cookies that the browser sent.
    """
    by_digest = {_digest_of(asked, secret): secret for secret in secrets if secret}
    if not by_digest:
        return None
    _is_settled, row = wait_for(lambda: _settled(list(by_digest)), seconds=PATIENCE.total_seconds()) or (
        True,
        None,
    )
    if row is None:
        return None
    pending = row.pending
    if row.answered_at is None or row.answered_at < timezone.now() - GRACE or not row.sealed:
        return Earlier(pending, "")
    answer, leg = _open(row, by_digest[row.request_digest])
    if leg and leg != _leg(row.pending_id):
        # It leads to an upstream, with a state that is good no more.
        return Earlier(pending, "")
    return Earlier(pending, answer)


def _settled(digests: list[str]) -> tuple[bool, FlowAnswer | None] | None:
    """Return the row, or that there is none; nothing while the first request is being answered."""
    row = (
        FlowAnswer.objects.using(_database())
        .select_related("pending")
        .filter(request_digest__in=digests)
        .first()
    )
    if row is not None and row.answered_at is None and row.claimed_at > timezone.now() - PATIENCE:
        return None
    return True, row


@sensitive_variables()
def claim(pending: PendingAuthorization, asked: str, secret: str, *, again: bool = False) -> bool:
    """Say whether this request may do the work. Of concurrent ones with the same *asked* one may.

    Args:
        again: What was kept of an earlier request is good no more.
    """
    name, now = _digest_of(asked, secret), timezone.now()
    try:
        _insert(FlowAnswer(pending=pending, request_digest=name, claimed_at=now))
    except IntegrityError:
        good_no_more = Q(answered_at__lt=now - GRACE) | Q(
            answered_at__isnull=True, claimed_at__lte=now - PATIENCE
        )
        if again:
            good_no_more |= Q(answered_at__isnull=False)
        rows = FlowAnswer.objects.filter(good_no_more, request_digest=name)
        return bool(
            retry_on_conflict(
                lambda: rows.update(pending=pending, claimed_at=now, answered_at=None, sealed="")
            )
        )
    _drop_oldest(pending.pk)
    return True


@sensitive_variables()
def keep(session_id: UUID, asked: str, secret: str, answer: str, *, leaves: bool) -> None:
    """Keep *answer* for the same request; an empty one only says that the request was answered.

    The request did its work by then, so a database that fails here fails no request.

    Args:
        leaves: The answer leads away from this site. If that is to an upstream, it is good as long as that leg.
    """
    name = _digest_of(asked, secret)
    try:
        sealed, now = (
            _seal(answer, name, secret, leg=_leg(session_id) if leaves and answer else ""),
            timezone.now(),
        )
        rows = FlowAnswer.objects.filter(request_digest=name)
        if not retry_on_conflict(lambda: rows.update(sealed=sealed, answered_at=now)):
            # The flow ended with its row, and so did the claim.
            _insert(FlowAnswer(request_digest=name, sealed=sealed, claimed_at=now, answered_at=now))
    except (DatabaseError, InterfaceError) as error:
        _log_not_kept(error)


@sensitive_variables()
def keep_first(pending: PendingAuthorization, asked: str, secret: str, answer: str, *, leaves: bool) -> None:
    """Keep *answer* of the request that began the flow. Nobody could claim it before, so one INSERT does.

    Args:
        leaves: As for :func:`keep`.
    """
    name, now = _digest_of(asked, secret), timezone.now()
    try:
        sealed = _seal(answer, name, secret, leg=_leg(pending.pk) if leaves else "")
        _insert(
            FlowAnswer(pending=pending, request_digest=name, sealed=sealed, claimed_at=now, answered_at=now)
        )
    except (DatabaseError, InterfaceError) as error:
        _log_not_kept(error)


def _log_not_kept(error: Exception) -> None:
    logger.warning("An answer was not kept for a repeated request: %s", type(error).__name__)


@sensitive_variables()
def _seal(answer: str, name: str, secret: str, *, leg: str) -> str:
    """Return *answer* sealed with the *leg* that it leads to; an empty one stays empty."""
    return seal(json.dumps([answer, leg]), secret=secret, purpose=PURPOSE, place=name) if answer else ""


def _leg(session_id: UUID | None) -> str:
    """Return the name of the leg to an upstream that the flow is on; empty if it is on none."""
    if session_id is None:
        return ""
    row = PendingAuthorization.objects.using(_database()).filter(pk=session_id, status=Status.SENT_UPSTREAM)
    private = row.values_list("private", flat=True).first()
    return digest(private) if private is not None else ""


@retries_on_conflict
def _insert(row: FlowAnswer) -> None:
    with transaction.atomic(using=_database()):
        row.save(force_insert=True, using=_database())


@sensitive_variables()
def release(asked: str, secret: str) -> None:
    """Let the same request do its work once more: it came to nothing that counts."""
    _give_back(asked, secret, lambda claim: claim.delete())


@sensitive_variables()
def abandon(asked: str, secret: str) -> None:
    """Let the same request do its work once more, if that can be done: nobody knows how far this one came (I22).

    The claim stays, and has expired. So the flow is found by it where the state of the request was spent.
    """
    expired = timezone.now() - PATIENCE
    _give_back(asked, secret, lambda claim: claim.filter(answered_at=None).update(claimed_at=expired))


def _give_back(asked: str, secret: str, change: Callable[[QuerySet[FlowAnswer]], Any]) -> None:
    claim = FlowAnswer.objects.filter(request_digest=_digest_of(asked, secret))
    try:
        drop_if_broken(_database())
        retry_on_conflict(lambda: change(claim))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("A claim of a request was not released: %s", type(error).__name__)


def _drop_oldest(session_id: UUID) -> None:
    """Delete the oldest answers of a flow that has too many."""
    kept = FlowAnswer.objects.filter(pending_id=session_id).order_by("-pk").values_list("pk", flat=True)
    stale = list(kept[MAX_PER_FLOW : 2 * MAX_PER_FLOW])
    if stale:
        retry_on_conflict(FlowAnswer.objects.filter(pk__in=stale).delete)


@sensitive_variables()
def _open(row: FlowAnswer, secret: str) -> tuple[str, str]:
    try:
        text = open_sealed(row.sealed, secret=secret, purpose=PURPOSE, place=row.request_digest)
        answer, leg = json.loads(text)
    except SealBroken:
        return "", ""
    return answer, leg


@sensitive_variables()
def _digest_of(asked: str, secret: str) -> str:
    """Return the name of a request. It is keyed: *asked* may hold a password, which could be guessed."""
    return hmac.new(secret.encode(), f"{PURPOSE} {asked}".encode(), hashlib.sha256).hexdigest()


def _database() -> str:
    return router.db_for_write(FlowAnswer)
