"""What the account page shows: where the user is signed in, their provider accounts, what they allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from django_lazyauth.models import Consent, ProviderIdentity, UpstreamGrant
from django_lazyauth.models.grant import GrantState
from django_lazyauth.sessions.listing import Session, sessions_of
from django_lazyauth.toolkit import clients

from . import identities


@dataclass(frozen=True, slots=True)
class Allowed:
    """A client, all scopes that the user allowed it on any resource, and the resources that were named."""

    client: Any
    scopes: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """An upstream whose tokens this site keeps for the user.

    Attributes:
        state: ``fresh``, ``expired`` (renewed when it is needed), or ``signed_out`` (the person has to sign in there).
    """

    provider: str
    state: Literal["fresh", "expired", "signed_out"]
    since: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """
    Attributes:
        identities: The default account first.
        removable: Keys of those identities that may be unlinked.
    """

    sessions: list[Session]
    identities: list[ProviderIdentity]
    removable: set[int]
    allowed: list[Allowed]
    connected: list[Connected]


def of_user(user: AbstractBaseUser) -> Account:
    """Return the account of *user*. The number of queries does not grow with it."""
    owned = identities.of_user(user)
    return Account(
        sessions_of(user), owned, identities.removable(user, owned), _allowed_by(user), _connected(user)
    )


def _allowed_by(user: AbstractBaseUser) -> list[Allowed]:
    rows = (
        Consent.objects.filter(user_id=user.pk)
        .exclude(client__client_id=clients.ACCOUNT_CLIENT_ID)
        .select_related(f"client__{clients.REGISTRATION}")
        .order_by("client__name", "client_id", "pk")
    )
    scopes: dict[Any, dict[str, None]] = {}
    resources: dict[Any, dict[str, None]] = {}
    by_pk: dict[Any, Any] = {}
    for row in rows:
        by_pk[row.client_id] = row.client
        scopes.setdefault(row.client_id, {}).update(dict.fromkeys(row.scope.split()))
        resources.setdefault(row.client_id, {}).update(dict.fromkeys(row.resources))
    return [Allowed(client, tuple(scopes[pk]), tuple(resources[pk])) for pk, client in by_pk.items()]


def _connected(user: AbstractBaseUser) -> list[Connected]:
    """Return the upstreams of *user*, one for each provider: the one that works best."""
    now = timezone.now()
    found: dict[str, Connected] = {}
    rows = UpstreamGrant.objects.filter(user_id=user.pk).exclude(state=GrantState.LEAVING)
    for row in rows.order_by("provider", "-created_at").only("provider", "state", "expires_at", "created_at"):
        is_over = row.expires_at is not None and row.expires_at <= now
        state: Literal["fresh", "expired", "signed_out"] = (
            "signed_out" if row.state == GrantState.DEAD else "expired" if is_over else "fresh"
        )
        known = found.get(row.provider)
        if known is None or (known.state == "signed_out" and state != "signed_out"):
            found[row.provider] = Connected(row.provider, state, row.created_at)
    return list(found.values())
