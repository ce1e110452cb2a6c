"""The right to refresh a grant: at most one process has it at a time, decided by one conditional UPDATE.

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
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.models import GrantState, ProviderIdentity, UpstreamGrant, UpstreamToken

from .cipher import get_cipher
from .leave import SETTLED
from .places import GrantKey, place_of
from .read import database
from .store import grant_columns
from .tokens import UpstreamBundle

#: Longer than the longest refresh: 10 s of HTTP, and the time to write its answer.
LEASE_TIME: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to refresh version *version* of the grant *key*. Each method that writes is one UPDATE of the grant.

    Attributes:
        token: Names the holder. It is no secret.
    """

    key: GrantKey
    version: int
    token: str

    @classmethod
    def new(cls, key: GrantKey, version: int) -> Lease:
        """Return a lease that is not taken yet."""
        return cls(key, version, secrets.token_hex(16))

    def _rows(self) -> QuerySet[UpstreamGrant]:
        return UpstreamGrant.objects.using(database()).filter(pk=self.key.grant_id)

    def _held(self) -> QuerySet[UpstreamGrant]:
        return self._rows().filter(version=self.version, lease=self.token, state__in=SETTLED)

    def take(self) -> bool:
        """Take the lease; ``False`` if somebody else has it, the grant is dead, or another version is stored."""
        is_free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now()) | Q(lease=self.token)
        free = self._rows().filter(is_free, version=self.version, state=GrantState.LIVE)
        return bool(free.update(lease=self.token, lease_until=Now() + LEASE_TIME))

    @sensitive_variables()
    def write(self, bundle: UpstreamBundle, *, id_token: str = "") -> bool:
        """Replace the version that the lease is for with *bundle*, and end the lease.

        All sessions of the grant have the new access token then.

        Args:
            id_token: A new one for the session of *bundle*; empty: it keeps what it has.

        Returns ``False``, and writes nothing, if the last session left the grant meanwhile. Returns ``True`` too if an
        earlier call of this lease wrote it.
        """
        # Not the digest of the scopes: the upstream may have granted others now, and whoever signs in with those that
        # were asked for still joins.
        columns = grant_columns(bundle, self.key)
        written = self._held().update(
            **columns, version=F("version") + 1, lease_until=None, updated_at=timezone.now()
        )
        if not written:
            return self._rows().filter(version=self.version + 1, lease=self.token).exists()
        if id_token:
            self._keep_id_token(bundle, id_token)
        return True

    @sensitive_variables()
    def _keep_id_token(self, bundle: UpstreamBundle, id_token: str) -> None:
        place = place_of(bundle.session_id, bundle.provider, "id_token")
        UpstreamToken.objects.using(database()).filter(
            session_id=bundle.session_id, provider=bundle.provider, grant_id=self.key.grant_id
        ).update(id_token=get_cipher().seal(id_token, place), updated_at=timezone.now())

    def mark_dead(self) -> bool:
        """Record that the refresh token is of no use any more, and end the lease; ``False`` as :meth:`write`."""
        dead = self._held().update(state=GrantState.DEAD, lease_until=None, updated_at=timezone.now())
        if dead:
            ProviderIdentity.objects.ask_again(self.key.user_id, self.key.subject)
        return bool(dead)

    def release(self) -> None:
        """End the lease; the grant stays as it is."""
        self._held().update(lease_until=None)

    def is_left(self) -> bool:
        """Say whether no session is left on the grant."""
        return not self._rows().exclude(state=GrantState.LEAVING).exists()
