"""Where is a person signed in?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from django_lazyauth.models import PendingAuthorization, UpstreamToken
from django_lazyauth.tokens import family
from django_lazyauth.toolkit import clients


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in of a person at a client.

    Attributes:
        client: The client, with its registration.
        provider: Logical name of the provider that the person signed in with. Empty for a sign-in on this site
            itself, and after the records of the sign-in were deleted.
        last_used_at: When the client last fetched tokens.
    """

    session_id: UUID
    client: clients.Client
    provider: str
    since: datetime
    last_used_at: datetime


def sessions_of(user: AbstractBaseUser) -> list[Session]:
    """Return the sessions of *user*, last used first. Three queries for any number of sessions."""
    members = family.newest_live(user.pk, timezone.now())
    providers = _providers_of([member.token_family for member in members])
    return [
        Session(
            session_id=member.token_family,
            client=member.application,
            provider=providers.get(member.token_family, ""),
            since=family.started_at(member),
            last_used_at=member.created,
        )
        for member in members
    ]


def _providers_of(session_ids: list[UUID]) -> dict[UUID, str]:
    upstream = UpstreamToken.objects.filter(session_id__in=session_ids).order_by("-pk")
    pending = PendingAuthorization.objects.filter(pk__in=session_ids)
    return dict(upstream.values_list("session_id", "provider")) | dict(pending.values_list("pk", "provider"))
