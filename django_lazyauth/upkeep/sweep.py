"""Delete what has expired: in batches by primary key, with short transactions and constant memory.

It is safe to kill and to repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from django_lazyauth.clients.store import delete_unused
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import (
    ClientRegistration,
    FamilyGrant,
    FlowAnswer,
    LogoutDelivery,
    PendingAuthorization,
    SealedSuccessor,
    Status,
    UpstreamToken,
)
from django_lazyauth.sessions import end
from django_lazyauth.tokens import family
from django_lazyauth.tokens.expired import expired_tokens
from django_lazyauth.toolkit import documents

#: Rows per transaction: enough to be quick, and few enough that nothing waits long for their locks.
BATCH_SIZE = 500
#: How long operators can see the outcome of a delivery.
DELIVERY_RETENTION = timedelta(days=7)
#: How long a client from a client ID document may exist without its ``ClientRegistration``.
GRACE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows of one kind were deleted."""

    kind: str
    count: int


def sweep(*, now: datetime | None = None, batch_size: int = BATCH_SIZE) -> Iterator[Swept]:
    """Delete everything that has expired, and yield a count for each kind."""
    now = now or timezone.now()
    yield Swept("sessions of deactivated people", end.end_sessions_of_inactive())
    yield Swept("pending authorizations", _sweep_pending(now, batch_size))
    yield Swept(
        "upstream tokens", _delete_in_batches(UpstreamToken.objects.filter(retain_until__lt=now), batch_size)
    )
    yield Swept(
        "sealed successors", _delete_in_batches(SealedSuccessor.objects.all().expired(now), batch_size)
    )
    # Until then a callback that comes again finds its flow.
    answered = FlowAnswer.objects.filter(claimed_at__lt=now - lazyauth_settings.flow_lifetime)
    yield Swept("answers of flows", _delete_in_batches(answered, batch_size))
    yield Swept("unused clients", _sweep_clients(now, batch_size))
    finished = LogoutDelivery.objects.finished(now - DELIVERY_RETENTION)
    yield Swept("logout deliveries", _delete_in_batches(finished, batch_size))
    # A family that began before its grant was written down cannot live longer than that.
    grants = FamilyGrant.objects.all().begun_before(now - lazyauth_settings.refresh_token_lifetime)
    yield Swept("grants of sessions", _delete_in_batches(grants, batch_size))
    for rows in expired_tokens(now):
        yield Swept(str(rows.model._meta.verbose_name_plural), _delete_in_batches(rows, batch_size))


def _sweep_pending(now: datetime, batch_size: int) -> int:
    """Delete expired rows with their deferred registrations and the upstream tokens of abandoned flows (I4).

    The row of a live session stays: it records how and when the person signed in.
    """
    expired = PendingAuthorization.objects.expired(now, now - lazyauth_settings.code_retention)
    rows = family.without_live_tokens(expired)
    count = 0
    for keys in _batches(rows, batch_size):
        abandoned = PendingAuthorization.objects.filter(pk__in=keys).exclude(status=Status.EXCHANGED)
        UpstreamToken.objects.filter(session_id__in=list(abandoned.values_list("pk", flat=True))).delete()
        count += _delete(rows.model, keys)
    return count


def _sweep_clients(now: datetime, batch_size: int) -> int:
    """Delete clients that were never used and have expired, or are beyond a lowered cap (I16)."""
    ended = Q(expires_at__lt=now) | Q(slot__gte=lazyauth_settings.max_unused_clients)
    count = 0
    for keys in _batches(ClientRegistration.objects.filter(ended, last_used_at__isnull=True), batch_size):
        registered = ClientRegistration.objects.filter(pk__in=keys, last_used_at__isnull=True)
        count += delete_unused(registered.values_list("client_id", flat=True))
    for keys in _batches(documents.unregistered(now - GRACE), batch_size):
        count += delete_unused(keys)
    return count


def _delete_in_batches(rows: QuerySet[Any], batch_size: int) -> int:
    return sum(_delete(rows.model, keys) for keys in _batches(rows, batch_size))


def _delete(model: type[Model], keys: list[Any]) -> int:
    """Delete rows and return their number, without that of what cascades."""
    return model._default_manager.filter(pk__in=keys).delete()[1].get(model._meta.label, 0)


def _batches(rows: QuerySet[Any], batch_size: int) -> Iterator[list[Any]]:
    """Yield lists of keys, each inside an open transaction. Rows are locked where the database has SKIP LOCKED."""
    database = router.db_for_write(rows.model)
    features = connections[database].features
    of_self = ("self",) if features.has_select_for_update_of else ()
    last: Any = None
    while True:
        with transaction.atomic(using=database):
            page = rows.using(database).order_by("pk")
            if last is not None:
                page = page.filter(pk__gt=last)
            if features.has_select_for_update_skip_locked:
                page = page.select_for_update(skip_locked=True, of=of_self)
            keys = list(page.values_list("pk", flat=True)[:batch_size])
            if not keys:
                return
            last = keys[-1]
            yield keys
