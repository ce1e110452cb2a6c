"""Delete what has expired: in batches, with short transactions and constant memory.

It is safe to kill and to repeat. What it reads does not grow with what lives: our own tables have an index on what
expires, and the tables of others are looked through in parts (``walk``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections, router, transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from django_lazyauth.clients.store import delete_unused
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import (
    ClientRegistration,
    DeviceAuthorization,
    FamilyGrant,
    FlowAnswer,
    LogoutDelivery,
    PendingAuthorization,
    SealedSuccessor,
    Status,
    TokenFacts,
    UpstreamGrant,
    UpstreamToken,
    UsedLogoutToken,
    UsedProof,
)
from django_lazyauth.sessions import end, ending_job
from django_lazyauth.tokens import family
from django_lazyauth.tokens.expired import ExpiredTokens, expired_tokens
from django_lazyauth.toolkit import documents
from django_lazyauth.toolkit.models import get_application_model
from django_lazyauth.upstream.revocations import revoke_due
from django_lazyauth.users import inactive_among
from django_lazyauth.vault import leave
from django_lazyauth.vault.abandoned import abandon

from . import sign_in_log
from .walk import Page, walk

#: Rows per transaction: enough to be quick, and few enough that nothing waits long for their locks.
BATCH_SIZE = 500
#: Users that one statement looks at, and that one run looks at.
USERS_PAGE, USERS_PATIENCE = 5000, 5000
#: How long operators can see the outcome of a delivery.
DELIVERY_RETENTION = timedelta(days=7)
#: How long a device that comes late is told that its code is too old.
DEVICE_RETENTION = timedelta(minutes=5)
#: How long a client from a client ID document may exist without its ``ClientRegistration``, and a grant without a
#: session.
GRACE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows of one kind were deleted."""

    kind: str
    count: int


def sweep(
    *,
    now: datetime | None = None,
    batch_size: int = BATCH_SIZE,
    watch: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> Iterator[Swept]:
    """Delete what has expired, and yield a count for each kind.

    Args:
        watch: Called before each kind with its name, and with how many kinds of how many are done.
    """
    steps = list(_steps(now or timezone.now(), batch_size))
    for done, (kind, step) in enumerate(steps):
        watch(kind, done, len(steps))
        # What a step did before a conflict stands. It finds the rest.
        count = retry_on_conflict(step)
        measure.count(measure.SWEPT, kind, by=count)
        yield Swept(kind, count)


def _steps(now: datetime, batch_size: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each kind, and what sweeps it."""

    def batches(rows: QuerySet[Any], column: str) -> Callable[[], int]:
        return partial(_delete_in_batches, rows, column, batch_size)

    yield "sessions of deactivated people", _end_sessions_of_inactive
    yield "ends of sessions that waited", ending_job.run_unfinished
    yield "pending authorizations", partial(_sweep_pending, now, batch_size)
    devices = DeviceAuthorization.objects.filter(expires_at__lt=now - DEVICE_RETENTION)
    yield "device authorizations", batches(devices, "expires_at")
    bundles = UpstreamToken.objects.filter(retain_until__lt=now)
    yield "upstream tokens", partial(_leave_in_batches, bundles, batch_size)
    yield "upstream grants that were left", revoke_due
    yield "upstream grants", partial(walk, UpstreamGrant, partial(_delete_unused, now), size=batch_size)
    yield "sealed successors", batches(SealedSuccessor.objects.all().expired(now), "expires_at")
    # Until then a callback that comes again finds its flow.
    answered = FlowAnswer.objects.filter(claimed_at__lt=now - lazyauth_settings.flow_lifetime)
    yield "answers of flows", batches(answered, "claimed_at")
    yield "unused clients", partial(_sweep_clients, now, batch_size)
    yield (
        "logout deliveries",
        batches(LogoutDelivery.objects.finished(now - DELIVERY_RETENTION), "updated_at"),
    )
    yield "used logout tokens", batches(UsedLogoutToken.objects.filter(expires_at__lt=now), "expires_at")
    yield "used proofs", batches(UsedProof.objects.filter(expires_at__lt=now), "expires_at")
    yield "facts of access tokens", batches(TokenFacts.objects.filter(expires_at__lt=now), "expires_at")
    # A family that began before its grant was written down cannot live longer than that.
    grants = FamilyGrant.objects.all().begun_before(now - lazyauth_settings.refresh_token_lifetime)
    yield "grants of sessions", batches(grants, "created_at")
    for kind in expired_tokens(now):
        sweep_tokens = partial(walk, kind.model, partial(_delete_tokens, kind), size=batch_size)
        yield str(kind.model._meta.verbose_name_plural), sweep_tokens


def _end_sessions_of_inactive() -> int:
    """End sessions of people who were deactivated without a signal. Nothing of theirs is renewed until then."""
    return walk(
        get_user_model(),
        lambda page: end.end_sessions_of(inactive_among(page.within)),
        size=USERS_PAGE,
        patience=USERS_PATIENCE,
    )


def _sweep_pending(now: datetime, batch_size: int) -> int:
    """End expired rows with their deferred registrations and the upstream tokens of abandoned flows (I4).

    They stay in the log of sign-ins for a while. Returns how many ended or left the log.

    The row of a live session stays: it records how and when the person signed in. It is looked at again when the
    session can have ended by itself.
    """
    due = PendingAuthorization.objects.due(now, now - lazyauth_settings.code_retention)
    count = 0
    for keys in _batches(due, "expires_at", batch_size):
        alive = family.alive_until(keys, now)
        _postpone(alive)
        ended = [key for key in keys if key not in alive]
        open_ones = PendingAuthorization.objects.filter(pk__in=ended).exclude(status=Status.EXCHANGED)
        abandoned = list(open_ones.values_list("pk", flat=True))
        abandon(abandoned)
        leave.delete_of_sessions(abandoned)
        _delete(PendingAuthorization, [*_read(ended), *sign_in_log.keep(ended, now=now)])
        count += len(ended)
    return count


def _read(keys: list[Any]) -> list[Any]:
    """Return the keys of those that stood in the log for their time."""
    rows = PendingAuthorization.objects.filter(pk__in=keys, log_slot__isnull=False)
    return list(rows.values_list("pk", flat=True))


def _postpone(until: dict[Any, datetime]) -> None:
    rows = [PendingAuthorization(pk=key, expires_at=time) for key, time in until.items()]
    PendingAuthorization.objects.bulk_update(rows, ["expires_at"])


def _sweep_clients(now: datetime, batch_size: int) -> int:
    """Delete clients that were never used and have expired, or are beyond a lowered cap (I16)."""
    unused = ClientRegistration.objects.filter(last_used_at__isnull=True)
    count = 0
    for column, ended in (
        ("expires_at", Q(expires_at__lt=now)),
        ("slot", Q(slot__gte=lazyauth_settings.max_unused_clients)),
    ):
        for keys in _batches(unused.filter(ended), column, batch_size):
            count += delete_unused(unused.filter(pk__in=keys).values_list("client_id", flat=True))
    return count + walk(
        get_application_model(),
        lambda page: delete_unused(documents.unregistered(page.within, now - GRACE)),
        size=batch_size,
    )


def _delete_tokens(kind: ExpiredTokens, page: Page) -> int:
    expired = page.within.filter(kind.condition)
    in_use = set(kind.holders(page.after, page.last).using(page.rows.db)) if kind.holders else None
    if not in_use:
        keys = _lock(expired)
    else:
        # Rows in use may be many, and are not locked.
        unlocked = set(expired.values_list("pk", flat=True)) - in_use
        keys = _lock(page.rows.filter(pk__in=unlocked)) if unlocked else []
    if not keys:
        return 0
    with family.by_us():
        return _delete(kind.model, keys)


def _leave_in_batches(rows: QuerySet[UpstreamToken], batch_size: int) -> int:
    """Delete rows of sessions. They are not locked here: grants are locked before them."""
    count = 0
    while keys := list(rows.order_by("retain_until", "pk").values_list("pk", flat=True)[:batch_size]):
        count += leave.leave(rows.filter(pk__in=keys))
    return count


def _delete_unused(now: datetime, page: Page) -> int:
    """Delete grants whose sessions were deleted by others: with a client, or by hand."""
    # Both sides are read in the order of their index. A look-up for each grant would read several times as much.
    sessions = UpstreamToken.objects.using(page.rows.db)
    if page.after is not None:
        sessions = sessions.filter(grant_id__gt=page.after)
    if page.last is not None:
        sessions = sessions.filter(grant_id__lte=page.last)
    old = page.within.filter(updated_at__lt=now - GRACE).values_list("pk", flat=True)
    keys = set(old) - set(sessions.filter(grant__isnull=False).values_list("grant_id", flat=True))
    leave.lock(keys)
    return leave.leave_unused(keys)


def _delete_in_batches(rows: QuerySet[Any], column: str, batch_size: int) -> int:
    return sum(_delete(rows.model, keys) for keys in _batches(rows, column, batch_size))


def _delete(model: type[Model], keys: list[Any]) -> int:
    """Delete rows and return their number, without that of what cascades."""
    return model._default_manager.filter(pk__in=keys).delete()[1].get(model._meta.label, 0)


def _batches(rows: QuerySet[Any], column: str, batch_size: int) -> Iterator[list[Any]]:
    """Yield lists of keys, each inside an open transaction with the rows locked.

    Args:
        column: The rows are read in its order. Its index holds what has expired in one range. By primary key, a
            database may read everything that has not expired.
    """
    database = router.db_for_write(rows.model)
    after: tuple[Any, Any] | None = None
    while True:
        with transaction.atomic(using=database):
            page = rows.using(database).order_by(column, "pk")
            if after is not None:
                same = Q(**{column: after[0]}, pk__gt=after[1])
                page = page.filter(Q(**{f"{column}__gt": after[0]}) | same, **{f"{column}__gte": after[0]})
            found = list(_locking(page).values_list(column, "pk")[:batch_size])
            if not found:
                return
            after = found[-1]
            yield [key for _value, key in found]


def _lock(rows: QuerySet[Any]) -> list[Any]:
    return list(_locking(rows).values_list("pk", flat=True))


def _locking(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Lock the rows, and leave out those that somebody else has locked, where the database can do that."""
    features = connections[rows.db].features
    if not features.has_select_for_update_skip_locked:
        return rows
    return rows.select_for_update(skip_locked=True, of=("self",) if features.has_select_for_update_of else ())
