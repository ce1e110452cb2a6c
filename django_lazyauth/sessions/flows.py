"""Which authorization requests could still become a session, and how they end (I21).

Their deferred registrations and upstream tokens are deleted with them. Always in the caller's transaction.

Not here: sessions (``end``).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from typing import Any
from uuid import UUID

from django.db import router
from django.db.models import Q
from django.utils import timezone

from django_lazyauth.models import (
    DeferredRegistration,
    DeviceAuthorization,
    DeviceStatus,
    GrantKind,
    PendingAuthorization,
    ProviderIdentity,
    Reason,
    Status,
)
from django_lazyauth.models.authorization import OPEN, PendingAuthorizationQuerySet
from django_lazyauth.vault import leave
from django_lazyauth.vault.abandoned import abandon


def database() -> str:
    """Return the database of the flows. A replica may be behind, so it is asked for reading too."""
    return router.db_for_write(PendingAuthorization)


def open_flows() -> PendingAuthorizationQuerySet:
    """Return the requests that have no answer yet, expired or not."""
    return PendingAuthorization.objects.using(database()).filter(status__in=OPEN)


def of_user(user_pk: Any, *, client_pk: Any = None) -> PendingAuthorizationQuerySet:
    """Return the open flows of a person, also where they are not written yet and are known by their identity.

    Without *client_pk*, flows are included that add an account to the user.
    """
    identities = ProviderIdentity.objects.using(database()).filter(user_id=user_pk)
    theirs = Q(user_id=user_pk) | Q(pk__in=_deferred_of(identities))
    if client_pk is None:
        return open_flows().filter(theirs | Q(link_to_id=user_pk))
    return open_flows().filter(theirs, client_id=client_pk)


def of_identity(identity: ProviderIdentity) -> PendingAuthorizationQuerySet:
    """Return the open flows of a person who signed in with *identity*."""
    return open_flows().filter(signed_in_with(identity) | Q(pk__in=_deferred_of([identity])))


def signed_in_with(identity: ProviderIdentity) -> Q:
    """Return the condition for requests whose user signed in with *identity*.

    A row of an earlier release does not say the identity, only the provider.
    """
    exactly = Q(identity_id=identity.pk) | Q(identity_id__isnull=True, provider=identity.provider)
    return Q(user_id=identity.user_id) & exactly


def signed_in_at(provider: str, **there: Any) -> PendingAuthorizationQuerySet:
    """Return the open flows whose person or tokens are not written yet, by what is known of them at *provider*.

    Args:
        there: ``subject`` or ``upstream_sid``.
    """
    rows = DeferredRegistration.objects.using(database()).filter(provider=provider, **there)
    return open_flows().filter(pk__in=list(rows.values_list("pk", flat=True)))


def of_clients(client_pks: Iterable[Any]) -> PendingAuthorizationQuerySet:
    """Return the open flows of these clients."""
    return open_flows().filter(client_id__in=list(client_pks))


def end_devices_of(client_pks: Iterable[Any]) -> None:
    """End what devices of these clients asked for and nobody claimed yet, in the caller's transaction."""
    DeviceAuthorization.objects.filter(client_id__in=list(client_pks)).close(DeviceStatus.ENDED)


def _deferred_of(identities: Iterable[ProviderIdentity]) -> list[UUID]:
    named = [Q(provider=identity.provider, subject=identity.subject) for identity in identities]
    if not named:
        return []
    rows = DeferredRegistration.objects.using(database()).filter(reduce(operator.or_, named))
    return list(rows.values_list("pk", flat=True))


def end_flows(
    rows: PendingAuthorizationQuerySet, *, withdrawn: bool = False, reason: Reason = Reason.ENDED
) -> None:
    """End the open flows among *rows*. A code that a concurrent request redeems first stays redeemed.

    Args:
        reason: What operators read.
        withdrawn: See :func:`.leave.leave_unused`.
    """
    rows_by_grant = list(rows.order_by("pk").values_list("pk", "grant"))
    if not rows_by_grant:
        return
    keys = [key for key, _grant in rows_by_grant]
    named = PendingAuthorization.objects.using(database()).filter(pk__in=keys)
    devices = [key for key, grant in rows_by_grant if grant == GrantKind.DEVICE]
    # It waits for an exchange that is under way.
    named.filter(status__in=OPEN).update(
        status=Status.FAILED,
        state_digest=None,
        private="",
        last_error="ended",
        reason=reason,
        updated_at=timezone.now(),
    )
    ended = list(named.filter(status=Status.FAILED).values_list("pk", flat=True))
    if devices:
        DeviceAuthorization.objects.close_flows(set(devices) & set(ended), DeviceStatus.ENDED)
    abandon(ended, withdrawn=withdrawn)
    leave.delete_of_sessions(ended, withdrawn=withdrawn)
