"""The row behind a code while it is redeemed: read and locked, then spent, and what waited for it dropped.

These statements run in every exchange, so they are compiled once per database. The caller's transaction holds
the lock.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connections, router
from django.db.models import OuterRef, Subquery
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from .authorization import DeferredRegistration, PendingAuthorization, Status
from .fields import digest
from .identity import ProviderIdentity
from .prepared_select import ASKED_FOR, PreparedSelect
from .prepared_write import PreparedWrite, prepare_delete, prepare_update


def lock_code(code: str) -> PendingAuthorization | None:
    """Return the row behind *code* with client, user and deferred registration, locked until commit.

    One query feeds the whole exchange. ``identity_user_id`` names the user whom the deferred person
    turned out to be, if somebody registered that person in between.

    Raises:
        TransactionManagementError: No transaction is open that could hold the lock.
    """
    using = router.db_for_write(PendingAuthorization)
    if not connections[using].in_atomic_block:
        raise TransactionManagementError("A code is locked until commit: open a transaction first.")
    return _select(using).get(digest(code))


@cache
def _select(using: str) -> PreparedSelect[PendingAuthorization]:
    person = ProviderIdentity.objects.filter(
        provider=OuterRef("deferred__provider"), subject=OuterRef("deferred__subject")
    )
    lock = connections[using].features.has_select_for_update_of
    return PreparedSelect(
        PendingAuthorization.objects.using(using)
        .select_for_update(of=("self",) if lock else ())
        .annotate(identity_user_id=Subquery(person.values("user_id")[:1]))
        .filter(code_digest=ASKED_FOR),
        related=("client", "user", "deferred"),
        annotations=("identity_user_id",),
    )


def spend_code(pending: PendingAuthorization, *, user_id: Any) -> bool:
    """Mark the row of *pending* as exchanged; ``False`` if somebody was faster."""
    now = timezone.now()
    update = _update(router.db_for_write(PendingAuthorization))
    return update.run(Status.EXCHANGED, user_id, now, now, "", pending.pk, Status.CODE_ISSUED) == 1


@cache
def _update(using: str) -> PreparedWrite:
    return prepare_update(
        PendingAuthorization,
        using,
        values=("status", "user_id", "exchanged_at", "updated_at", "private"),
        where=("session_id", "status"),
    )


def drop_deferred(pending: PendingAuthorization) -> None:
    """Delete what waited for the exchange of *pending*."""
    _delete(router.db_for_write(DeferredRegistration)).run(pending.pk)


@cache
def _delete(using: str) -> PreparedWrite:
    return prepare_delete(DeferredRegistration, using, where=("pending_id",))
