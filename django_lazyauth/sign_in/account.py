"""What the account page shows: where the user is signed in, their provider accounts, what they allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.models import Consent, ProviderIdentity
from django_lazyauth.sessions.listing import Session, sessions_of
from django_lazyauth.toolkit import clients

from . import identities


@dataclass(frozen=True, slots=True)
class Allowed:
    """A client and all scopes that the user allowed it, on any resource."""

    client: Any
    scopes: tuple[str, ...]


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


def of_user(user: AbstractBaseUser) -> Account:
    """Return the account of *user*. The number of queries does not grow with it."""
    owned = identities.of_user(user)
    return Account(sessions_of(user), owned, identities.removable(user, owned), _allowed_by(user))


def _allowed_by(user: AbstractBaseUser) -> list[Allowed]:
    rows = (
        Consent.objects.filter(user_id=user.pk)
        .exclude(client__client_id=clients.ACCOUNT_CLIENT_ID)
        .select_related(f"client__{clients.REGISTRATION}")
        .order_by("client__name", "client_id", "pk")
    )
    scopes: dict[Any, dict[str, None]] = {}
    by_pk: dict[Any, Any] = {}
    for row in rows:
        by_pk[row.client_id] = row.client
        scopes.setdefault(row.client_id, {}).update(dict.fromkeys(row.scope.split()))
    return [Allowed(client, tuple(scopes[pk])) for pk, client in by_pk.items()]
