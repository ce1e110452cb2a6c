"""Sessions leave their grants: when they end, and when another grant takes the place of theirs.

Whoever leaves or joins a grant locks it first, grants by primary key, and then the rows of sessions. So of the last two
sessions of a grant, which end at once, one is the last. The last one deletes the grant, or lets its refresh token wait
to be revoked (:mod:`django_lazyauth.upstream.revocations`).

In the caller's transaction, or in one of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from django_lazyauth.kit.retry import StaleSnapshot
from django_lazyauth.models import (
    GrantState,
    LegacyUpstreamToken,
    Revocation,
    UpstreamGrant,
    UpstreamToken,
)
from django_lazyauth.signals import upstream_grants_left

from .read import database

#: The states of a grant that sessions may live on.
SETTLED: Final = (GrantState.LIVE, GrantState.DEAD)
#: How often rows are looked up that a concurrent transaction moved to another grant. One that signs in again and again
#: can be first several times.
TRIES: Final = 10


def delete(session_id: UUID, *, withdrawn: bool = False) -> int:
    """Delete every bundle of a session; return how many there were.

    Here and below, *withdrawn* says that the person left, and did not only sign out.

    The row in the old format is deleted first. A migration that is moving it holds a lock on it, so the second
    statement runs after the migration and finds the new row. It is deleted by primary key, as the migration
    locks it: InnoDB aborts one of two transactions that lock a row through different indexes.
    """
    _delete_legacy(Q(session_id=str(session_id)))
    return leave(UpstreamToken.objects.of_session(session_id), withdrawn=withdrawn)


def delete_of_user(
    user_id: Any,
    *,
    client_id: Any = None,
    providers: Collection[str] | None = None,
    but: UUID | None = None,
    withdrawn: bool = False,
) -> None:
    """Delete every bundle of a user, of one client or of *providers* only if given, in every session except *but*."""
    only = Q(user_id=user_id)
    if client_id is not None:
        only &= Q(client_id=client_id)
    if providers is not None:
        only &= Q(provider__in=providers)
    else:
        _delete_legacy(only & ~Q(session_id=str(but)))
    leave(
        UpstreamToken.objects.filter(only if but is None else only & ~Q(session_id=but)), withdrawn=withdrawn
    )


def delete_of_client(client_id: Any) -> None:
    """Delete every bundle of a client."""
    leave(UpstreamToken.objects.filter(client_id=client_id))


def delete_of_sessions(session_ids: Iterable[UUID], *, withdrawn: bool = False) -> int:
    """Delete every bundle of these sessions; return how many there were."""
    return leave(UpstreamToken.objects.filter(session_id__in=list(session_ids)), withdrawn=withdrawn)


def delete_old_of_sessions(session_ids: Iterable[UUID]) -> None:
    """Delete what stands of these sessions in the format of earlier releases."""
    _delete_legacy(Q(session_id__in=[str(session_id) for session_id in session_ids]))


def _delete_legacy(where: Q) -> None:
    legacy = LegacyUpstreamToken.objects.using(database())
    if old := list(legacy.filter(where).values_list("pk", flat=True)):
        legacy.filter(pk__in=old).delete()


def leave(rows: QuerySet[UpstreamToken], *, withdrawn: bool = False) -> int:
    """Delete *rows*, and the grants that no session is left on. Return how many rows there were.

    Raises:
        StaleSnapshot: The transaction does not see which grants the rows belong to. It must run anew.
    """
    rows, count = rows.using(database()).order_by(), 0
    with transaction.atomic(using=database(), savepoint=False):
        for _ in range(TRIES):
            found = list(rows.values_list("pk", "grant_id"))
            if not found:
                return count
            grants = {grant_id for _, grant_id in found if grant_id is not None}
            lock(grants)
            # Only those that still belong to a grant that is locked, or to none.
            named = UpstreamToken.objects.using(database()).filter(pk__in=[pk for pk, _ in found])
            gone, _by_model = named.filter(Q(grant_id__in=grants) | Q(grant_id=None)).delete()
            leave_unused(grants, withdrawn=withdrawn)
            count += gone
            # What others deleted meanwhile is gone too, and no reason to look again, however much there is.
            if gone == len(found) or not named.exists():
                return count
    raise StaleSnapshot


def lock(grant_ids: Iterable[UUID]) -> None:
    """Lock grants until the transaction ends.

    Their rows are changed, so that at REPEATABLE READ a concurrent transaction does not decide by what it read before.
    """
    keys = sorted(grant_ids)
    rows = UpstreamGrant.objects.using(database()).filter(pk__in=keys)
    if len(keys) > 1:
        # An UPDATE of several rows locks them in any order.
        list(rows.order_by("pk").select_for_update().values_list("pk"))
    if keys:
        rows.update(updated_at=timezone.now())


def leave_unused(grant_ids: Iterable[UUID], *, withdrawn: bool = False) -> int:
    """Let those of these locked grants go that no session lives on. Return how many.

    What a sign-out may revoke is the token's own family only: nobody who signs out of one site wants to be asked for
    consent again by the upstream. Who leaves revokes what they allowed, also where there is no refresh token.
    """
    keys = list(grant_ids)
    if not keys:
        return 0
    kinds = kinds_revoked(withdrawn=withdrawn)
    grants = UpstreamGrant.objects.using(database()).filter(pk__in=keys, state__in=SETTLED).unused()
    nothing_to_revoke = Q(refresh_token="", access_token="") if withdrawn else Q(refresh_token="")
    revocable = grants.filter(state=GrantState.LIVE, revocation__in=kinds).exclude(nothing_to_revoke)
    leaving = revocable.update(
        state=GrantState.LEAVING, is_withdrawn=withdrawn, next_attempt_at=Now(), lease_until=None
    )
    if leaving:
        tell_of_left()
    return leaving + grants.delete()[0]


def kinds_revoked(*, withdrawn: bool) -> list[str]:
    """Return the kinds of refresh tokens that are revoked when nobody holds them any more."""
    return [Revocation.TOKEN, Revocation.GRANT] if withdrawn else [Revocation.TOKEN]


def tell_of_left() -> None:
    """Send ``upstream_grants_left`` after the commit."""
    tell = partial(upstream_grants_left.send_robust, sender=UpstreamGrant)
    transaction.on_commit(tell, using=database(), robust=True)
