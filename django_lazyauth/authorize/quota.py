"""How many authorization requests may be open, in all and from one network (I16)?

A row counts until it is exchanged or deleted, even if it failed or expired: such a row costs a stranger as little as
any other. When a quota is used up, such rows are deleted here. So a late sweep keeps nobody out.
"""

from __future__ import annotations

from typing import Final

from django.db import connections, router, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.upkeep import sign_in_log
from django_lazyauth.vault import leave
from django_lazyauth.vault.abandoned import abandon

#: Who of a row's people is known.
_PERSON: Final = ("user_id", "said_subject")
#: Rows that one request deletes at most.
BATCH: Final = 200
#: With fewer rows left than this, concurrent requests could exceed the quota together. They check it once more.
MARGIN: Final = 100


def require_quota(network: str) -> bool:
    """Make sure that one more row is allowed. Return whether the quota is nearly used up.

    Raises:
        TemporarilyUnavailable: The quota is used up.
    """
    left = _quota_left(network)
    if left < 1:
        _delete_dead(network)
        left = _quota_left(network)
    if left < 1:
        raise _full()
    return left <= MARGIN


def take_back_if_exceeded(pending: PendingAuthorization) -> None:
    """Delete *pending*, which was just written, if concurrent requests exceeded the quota together.

    Raises:
        TemporarilyUnavailable: The row was deleted.
    """
    if _quota_left(pending.network) < 0:
        PendingAuthorization.objects.filter(pk=pending.pk).delete()
        raise _full()


def _full() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        gettext_noop("Too many people are signing in right now. Try again in a few minutes.")
    )


def _quota_left(network: str) -> int:
    """Return how many more rows are allowed. It is negative if there are too many."""
    counted = PendingAuthorization.objects.using(_database()).counted()
    per_network, in_all = (
        lazyauth_settings.max_pending_per_network,
        lazyauth_settings.max_pending_authorizations,
    )
    # The slices bound the work of the counts when somebody floods the site.
    return min(
        per_network - counted.filter(network=network)[: per_network + 1].count(),
        in_all - counted[: in_all + 1].count(),
    )


@retries_on_conflict
def _delete_dead(network: str) -> None:
    """Delete some rows that failed or expired: those of *network*, and others."""
    now = timezone.now()
    dead = Q(status=Status.FAILED) | Q(expires_at__lte=now)
    with transaction.atomic(using=_database()):
        # In the order of the index over rows that count. By primary key PostgreSQL would pass all live sessions.
        rows = PendingAuthorization.objects.using(_database()).counted().filter(dead).forgettable(now)
        rows = rows.order_by("network", "expires_at")
        if connections[_database()].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        of_network = rows.filter(network=network).values_list("pk", *_PERSON)[:BATCH]
        found = {
            key: any(person) for key, *person in (*of_network, *rows.values_list("pk", *_PERSON)[:BATCH])
        }
        abandon(found)
        leave.delete_of_sessions(found)
        # Strangers' rows go. Who sends many of them must not empty the log of the others.
        kept = [key for key, has_person in found.items() if has_person]
        gone = [key for key, has_person in found.items() if not has_person]
        PendingAuthorization.objects.filter(pk__in=[*gone, *sign_in_log.keep(kept)]).delete()


def _database() -> str:
    return router.db_for_write(PendingAuthorization)
