"""What operators look at first: how sign-ins go, what is overdue, what was given up.

Nothing here counts what a large site has much of: sign-ins that worked and sessions are counted up to a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, F, Value
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import (
    ClientRegistration,
    DeliveryState,
    GrantState,
    LegacyUpstreamToken,
    LogoutDelivery,
    PendingAuthorization,
    PeriodicRun,
    ProviderKeySet,
    Status,
    UpstreamGrant,
)
from django_lazyauth.toolkit.models import get_refresh_token_model

from .periodic import OVERDUE_AFTER

#: Beyond it a figure says "or more".
LIMIT: Final = 10_000
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Task:
    """
    Attributes:
        last: ``None`` where it never ran.
        is_overdue: It should have run since.
    """

    name: str
    last: PeriodicRun | None
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """
    Attributes:
        providers: Rows of configured providers, and of those that people signed in with before.
        failed: Reason → sign-ins of the last 24 h that ended by it.
        unused_clients: Source → clients that nobody ever allowed.
        grants: State → upstream grants that are not live.
        deliveries: State → logout tokens that are not tried any more.
    """

    providers: list[ProviderKeySet]
    signed_in: int
    failed: dict[str, int]
    open_requests: int
    sessions: int
    unused_clients: dict[str, int]
    grants: dict[str, int]
    deliveries: dict[str, int]
    legacy_rows: int
    tasks: list[Task]

    @property
    def failures(self) -> int:
        return sum(self.failed.values())


def load(now: datetime | None = None) -> Figures:
    """Return all figures. Seven queries."""
    now = now or timezone.now()
    flows = PendingAuthorization.objects.all()
    lately = flows.filter(pk__gte=_first_key_of(now - DAY))
    refresh = get_refresh_token_model().objects.filter(revoked__isnull=True)
    # Domains of organisations have a row each, and there may be as many as there are people.
    configured = ProviderKeySet.objects.filter(pk__in=list(lazyauth_settings.providers))
    counts = _counts(
        failed=(lately.filter(status=Status.FAILED), "reason"),
        unused_clients=(ClientRegistration.objects.unused(), "source"),
        grants=(UpstreamGrant.objects.exclude(state=GrantState.LIVE), "state"),
        deliveries=(
            LogoutDelivery.objects.filter(state__in=[DeliveryState.GIVEN_UP, DeliveryState.REFUSED]),
            "state",
        ),
    )
    return Figures(
        providers=list(configured.order_by("pk").defer("configuration", "jwks")),
        signed_in=_up_to_limit(lately.filter(status=Status.EXCHANGED).order_by("-pk")),
        open_requests=_up_to_limit(flows.counted().exclude(status=Status.FAILED)),
        sessions=_up_to_limit(refresh.order_by("-pk")),
        **counts,
        legacy_rows=_up_to_limit(LegacyUpstreamToken.objects.order_by("pk")),
        tasks=_tasks(now),
    )


def caps() -> dict[str, int]:
    """Return the limits that figures are compared with."""
    return {
        "open_requests": lazyauth_settings.max_pending_authorizations,
        "unused_clients": lazyauth_settings.max_unused_clients,
    }


def _first_key_of(moment: datetime) -> UUID:
    """Return the least UUIDv7 of a moment: the keys of flows are ordered by time (RFC 9562 §5.7)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _up_to_limit(rows: Any) -> int:
    return len(rows.values_list("pk", flat=True)[:LIMIT])


def _counts(**asked: tuple[Any, str]) -> dict[str, Any]:
    """Return for each name how many rows have each value of the column. One query for all."""
    parts = [
        rows.order_by()
        .annotate(part=Value(name), value=F(column))
        .values_list("part", "value")
        .annotate(found=Count("pk"))
        for name, (rows, column) in asked.items()
    ]
    found: dict[str, dict[str, int]] = {name: {} for name in asked}
    for name, value, count in parts[0].union(*parts[1:], all=True):
        found[name][value] = count
    return found


def _tasks(now: datetime) -> list[Task]:
    ran = PeriodicRun.objects.in_bulk()
    return [
        Task(name, ran.get(name), name not in ran or now - ran[name].started_at > after)
        for name, after in OVERDUE_AFTER.items()
    ]
