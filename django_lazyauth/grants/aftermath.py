"""What has to outlive the rollback of a token request: each in a transaction of its own, after the grant's."""

from __future__ import annotations

import logging
from typing import Final

from django.db import DatabaseError, InterfaceError, router, transaction
from django.utils import timezone

from django_lazyauth.errors import SealBroken
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import DeferredRegistration, Noted, PendingAuthorization, Reason, Status
from django_lazyauth.sessions import end
from django_lazyauth.sign_in.deferred import open_deferred
from django_lazyauth.signals import finalize_failed
from django_lazyauth.vault.abandoned import abandon

from .contract import Outcome

logger = logging.getLogger("django_lazyauth.exchange")

ROLLED_BACK: Final = "the exchange of a code was rolled back"
UNKNOWN: Final = "the exchange of a code failed, and it is not known whether it was committed"


def settle(outcome: Outcome) -> None:
    """End the sessions, discard the deferred registration and count the failure that *outcome* names."""
    for session_id in outcome.ended_sessions:
        end.end_session(session_id)
    if outcome.discarded is not None:
        _discard(outcome.discarded, outcome.reason)
    if outcome.error is not None and outcome.pending is not None:
        _count_failure(outcome.pending, outcome.error, is_known=outcome.is_known)


@retries_on_conflict
def _discard(pending: PendingAuthorization, reason: Reason) -> None:
    subject, email = _who(pending)
    noted = Noted(reason, pending.provider, "exchange", subject=subject, email=email)
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        # The pending row first, as everywhere: a concurrent request with the same code locks it first too.
        PendingAuthorization.objects.filter(pk=pending.pk, status=Status.CODE_ISSUED).update(
            status=Status.FAILED,
            last_error="RegistrationRefused",
            private="",
            updated_at=timezone.now(),
            **noted.columns(pending),
        )
        abandon([pending.pk])


def _who(pending: PendingAuthorization) -> tuple[str, str]:
    """Return subject and address of the person who cannot be written; empty where nothing is deferred any more."""
    row = DeferredRegistration.objects.filter(pk=pending.pk).first()
    try:
        identity = open_deferred(row).identity if row is not None else None
    except SealBroken:
        identity = None
    return (identity.subject, identity.email) if identity is not None else ("", "")


def _count_failure(pending: PendingAuthorization, error: Exception, *, is_known: bool) -> None:
    """Count the attempt, and send ``finalize_failed``. The log and the signal name the class of *error* only."""
    log_failure(logger, ROLLED_BACK if is_known else UNKNOWN, error)
    try:
        attempts = pending.count_failure(type(error).__name__)
    except (DatabaseError, InterfaceError):
        attempts = pending.failed_attempts + 1
    finalize_failed.send_robust(
        sender=PendingAuthorization,
        session_id=pending.pk,
        client_id=pending.client.client_id,
        provider=pending.provider,
        error_class=type(error).__name__,
        attempts=attempts,
    )
