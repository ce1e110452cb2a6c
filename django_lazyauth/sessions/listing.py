"""Where is a person signed in?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import GrantKind, PendingAuthorization, UpstreamToken
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
        agent: Name and system of the browser that began it, as ``<browser>/<system>``; empty where it is not known.
        network: The /24 or /56 that it began in; empty where it is not known.
        mark: Of the browser that it began in (:class:`.browser.SignIn`); empty where it is not known.
    """

    session_id: UUID
    client: clients.Client
    provider: str
    since: datetime
    last_used_at: datetime
    agent: str = ""
    network: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class _Beginning:
    provider: str = ""
    agent: str = ""
    network: str = ""
    mark: str = ""
    grant: str = ""


def sessions_of(user: AbstractBaseUser) -> list[Session]:
    """Return the sessions of *user*, last used first. Three queries for any number of sessions."""
    members = family.newest_live(user.pk, timezone.now())
    beginnings = _beginnings_of([member.token_family for member in members])
    nothing = _Beginning()
    return [
        Session(
            session_id=member.token_family,
            client=member.application,
            provider=(beginning := beginnings.get(member.token_family, nothing)).provider,
            since=family.started_at(member),
            last_used_at=member.created,
            agent=beginning.agent,
            network=beginning.network,
            mark=beginning.mark,
        )
        for member in members
        if not _is_over(member, beginnings.get(member.token_family, nothing))
    ]


def _is_over(member: Any, beginning: _Beginning) -> bool:
    """Say whether a session on the word of an organisation has nothing left. It is never refreshed."""
    lasts = lazyauth_settings.longest_access_token
    return beginning.grant == GrantKind.ID_JAG and bool(member.created + lasts <= timezone.now())


def _beginnings_of(session_ids: list[UUID]) -> dict[UUID, _Beginning]:
    upstream = UpstreamToken.objects.filter(session_id__in=session_ids).order_by("-pk")
    pending = PendingAuthorization.objects.filter(pk__in=session_ids)
    found = {pk: _Beginning(provider) for pk, provider in upstream.values_list("session_id", "provider")}
    for pk, *rest in pending.values_list("pk", "provider", "agent", "network", "browser_mark", "grant"):
        found[pk] = _Beginning(*rest)
    return found
