"""Is there room for one more row of a stranger (I16)? What is over makes room, swept or not.

A row counts until it is exchanged or deleted, not only while somebody may answer it: flows that fail are as
cheap to begin as others. Where the clean-up lags they are deleted here, so that they keep nobody out.
"""

from __future__ import annotations

from typing import Final

from django.db import connections, router, transaction
from django.db.models import Q
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization, Status, UpstreamToken

#: Rows that one request deletes at most.
BATCH: Final = 200
#: So near to a cap, requests that come at the same moment could exceed it together: they look again.
MARGIN: Final = 100


def make_room(network: str) -> bool:
    """Make sure that one more row fits; say whether it is one of the last that do.

    Raises:
        TemporarilyUnavailable: Strangers hold as many rows as they may.
    """
    left = _places_left(network)
    if left < 1:
        _forget_dead(network)
        left = _places_left(network)
    if left < 1:
        raise _full()
    return left <= MARGIN


def take_back_if_exceeded(pending: PendingAuthorization) -> None:
    """Delete a row that was just written, where others came at the same moment and the cap is exceeded.

    Raises:
        TemporarilyUnavailable: It was.
    """
    if _places_left(pending.network) < 0:
        PendingAuthorization.objects.filter(pk=pending.pk).delete()
        raise _full()


def _full() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("Too many people are signing in right now. Try again in a few minutes.")


def _places_left(network: str) -> int:
    """Return how many more rows fit, here and in all; negative where there are too many."""
    counted = PendingAuthorization.objects.using(_database()).exclude(status=Status.EXCHANGED)
    per_network, in_all = (
        lazyauth_settings.max_pending_per_network,
        lazyauth_settings.max_pending_authorizations,
    )
    # Slices bound the work of a count under flood.
    return min(
        per_network - counted.filter(network=network)[: per_network + 1].count(),
        in_all - counted[: in_all + 1].count(),
    )


@retries_on_conflict
def _forget_dead(network: str) -> None:
    """Delete some flows that nobody can answer any more: of this network, and the oldest of all."""
    dead = Q(status=Status.FAILED) | (~Q(status=Status.EXCHANGED) & Q(expires_at__lte=timezone.now()))
    with transaction.atomic(using=_database()):
        rows = PendingAuthorization.objects.using(_database()).filter(dead).order_by("pk")
        if connections[_database()].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        of_network = rows.filter(network=network).values_list("pk", flat=True)[:BATCH]
        keys = {*of_network, *rows.values_list("pk", flat=True)[:BATCH]}
        UpstreamToken.objects.filter(session_id__in=keys).delete()
        PendingAuthorization.objects.filter(pk__in=keys).delete()


def _database() -> str:
    return router.db_for_write(PendingAuthorization)
