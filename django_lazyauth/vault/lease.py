"""The right to refresh a bundle: at most one process has it at a time, decided by one conditional UPDATE.

A lease expires by the clock of the database, so processes whose clocks differ agree on it. Its holder writes only
while version and lease are still the ones that it took.

Each method may be called again when nobody knows whether it was committed (I22). The name of the last holder stays in
the row, so a writer recognises what it wrote itself.
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
    """The right to refresh version *version* of the row *pk*. Each method that writes is one UPDATE.

    Attributes:
        token: Names the holder. It is no secret.
    """

    pk: int
    version: int
    token: str

    @classmethod
    def new(cls, pk: int, version: int) -> Lease:
        """Return a lease that is not taken yet."""
        return cls(pk, version, secrets.token_hex(16))

    def _rows(self) -> QuerySet[UpstreamToken]:
        return UpstreamToken.objects.using(database()).filter(pk=self.pk)

    def _held(self) -> QuerySet[UpstreamToken]:
        return self._rows().filter(version=self.version, lease=self.token)

    def take(self) -> bool:
        """Take the lease; ``False`` if somebody else has it, the bundle is dead, or another version is stored."""
        is_free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now()) | Q(lease=self.token)
        free = self._rows().filter(is_free, version=self.version, is_dead=False)
        return bool(free.update(lease=self.token, lease_until=Now() + LEASE_TIME))

    def write(self, bundle: UpstreamBundle) -> bool:
        """Replace the version that the lease is for with *bundle*, and end the lease.

        Returns ``False``, and writes nothing, if a newer sign-in or a sign-out came first. Returns ``True`` too if an
        earlier call of this lease wrote it.
        """
        written = self._held().update(
            **columns_of(bundle), version=F("version") + 1, lease_until=None, updated_at=timezone.now()
        )
        return bool(written) or self._rows().filter(version=self.version + 1, lease=self.token).exists()

    def mark_dead(self) -> bool:
        """Record that the refresh token is of no use any more, and end the lease; ``False`` as :meth:`write`."""
        return bool(self._held().update(is_dead=True, lease_until=None, updated_at=timezone.now()))

    def release(self) -> None:
        """End the lease; the bundle stays as it is."""
        self._held().update(lease_until=None)
