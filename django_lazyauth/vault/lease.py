"""The right to refresh a bundle: at most one process has it at a time, decided by one conditional UPDATE.

A lease expires by the clock of the database, so processes whose clocks differ agree on it. Its holder writes only
while version and lease are still the ones that it took.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from django_lazyauth.models import UpstreamToken

from .read import database
from .store import columns_of
from .tokens import UpstreamBundle

#: Longer than the longest refresh: 10 s of HTTP, and the time to write its answer.
LEASE_TIME: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to refresh version *version* of the row *pk*. Each method that writes is one UPDATE."""

    pk: int
    version: int
    token: str

    def _row(self) -> QuerySet[UpstreamToken]:
        return UpstreamToken.objects.using(database()).filter(
            pk=self.pk, version=self.version, lease=self.token
        )

    def write(self, bundle: UpstreamBundle) -> bool:
        """Replace the version that the lease is for with *bundle*, and end the lease.

        Returns ``False``, and writes nothing, if a newer sign-in or a sign-out came first.
        """
        return bool(
            self._row().update(
                **columns_of(bundle),
                version=F("version") + 1,
                lease="",
                lease_until=None,
                updated_at=timezone.now(),
            )
        )

    def mark_dead(self) -> bool:
        """Record that the upstream refused the refresh token, and end the lease; ``False`` as :meth:`write`."""
        return bool(self._row().update(is_dead=True, lease="", lease_until=None, updated_at=timezone.now()))

    def release(self) -> None:
        """End the lease; the bundle stays as it is."""
        self._row().update(lease="", lease_until=None)


def take_lease(pk: int, version: int) -> Lease | None:
    """Return the lease on this version of a bundle; ``None`` if it is taken, or another version is stored."""
    lease = Lease(pk, version, secrets.token_hex(16))
    taken = (
        UpstreamToken.objects.using(database())
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()), pk=pk, version=version, is_dead=False)
        .update(lease=lease.token, lease_until=Now() + LEASE_TIME)
    )
    return lease if taken else None
