"""Sessions move to another grant: from a row of an earlier release, and from a grant that died to a younger one."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.tokens.writes import Insert, Writes

from .leave import leave_unused, lock
from .places import key_of, seal_ticket
from .read import StoredBundle, database, stored_of
from .store import EMPTIED, new_grant
from .tokens import GrantTerms


@sensitive_variables()
@retries_on_conflict
def to_grant(pk: int, terms: GrantTerms) -> bool:
    """Move the tokens of a row of an earlier release into a grant of its own; ``False`` where that cannot be now.

    While a process of the earlier release renews them, they stay: it writes its answer to the row.

    Raises:
        SealBroken: They cannot be opened.
    """
    using = database()
    rows = UpstreamToken.objects.using(using).filter(pk=pk, grant=None)
    with transaction.atomic(using=using):
        row = rows.select_for_update().first()
        if row is None or (row.lease_until is not None and row.lease_until > timezone.now()):
            return False
        grant = new_grant(
            stored_of(row).bundle(),
            terms,
            state=GrantState.DEAD if row.is_dead else GrantState.LIVE,
            version=row.version,
            created_at=row.created_at,
        )
        Writes((Insert(grant),)).run()
        rows.update(grant=grant, ticket=seal_ticket(row.session_id, row.provider, key_of(grant)), **EMPTIED)
    return True


@retries_on_conflict
def to_younger(held: StoredBundle) -> bool:
    """Move a session from its dead standing grant to the newest younger one of the same person and consent.

    The person signed in again elsewhere, so the upstream gave a new refresh token. Say whether there was one.

    Raises:
        SealBroken: The dead grant is not the session's.
    """
    using = database()
    grants = UpstreamGrant.objects.using(using)
    key = held.checked()
    dead = key and grants.filter(pk=key.grant_id, state=GrantState.DEAD, is_standing=True).first()
    if dead is None:
        return False
    younger = grants.joinable().filter(
        user_id=held.binding.user_id,
        provider=dead.provider,
        subject=held.subject,
        upstream_client=dead.upstream_client,
        scope_digest=dead.scope_digest,
        created_at__gt=dead.created_at,
    )
    with transaction.atomic(using=using):
        found = younger.first()
        if found is None:
            return False
        lock([dead.pk, found.pk])
        if not younger.filter(pk=found.pk).exists():
            return False
        key = key_of(found)
        ticket = seal_ticket(held.binding.session_id, held.binding.provider, key)
        rows = UpstreamToken.objects.using(using).filter(pk=held.pk, grant_id=dead.pk)
        rows.update(grant_id=found.pk, ticket=ticket, updated_at=timezone.now())
        leave_unused([dead.pk])
    return True
