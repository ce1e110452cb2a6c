"""Sessions of people at clients: which there are, and how one ends.

Ending one takes its refresh family, its access tokens and its upstream tokens together, and notes in the same
transaction what its client has to hear (I2, I11). Whoever ends a session, for whatever reason, does it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.utils import timezone

from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import Consent, PendingAuthorization, Status, UpstreamToken
from django_lazyauth.providers.base import Json, Provider
from django_lazyauth.tokens import family
from django_lazyauth.toolkit import clients
from django_lazyauth.vault import store

from . import backchannel


@dataclass(frozen=True, slots=True)
class Session:
    """Where somebody is signed in.

    Attributes:
        client: The client, with its registration.
        provider: Logical name of who vouched for the person; empty where this site itself did, or where that
            is not known any more.
        last_used_at: When the client last fetched tokens.
    """

    session_id: UUID
    client: Any
    provider: str
    since: datetime
    last_used_at: datetime


#: No session has it (RFC 9562 §5.9).
NOTHING = UUID(int=0)


class NoSuchSession(LookupError):
    """It is not one of theirs, or it is over: not told apart."""


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


# -- which there are ---------------------------------------------------------------------------------------


def of_user(user: AbstractBaseUser) -> list[Session]:
    """Return where *user* is signed in, last used first. Three queries, however many there are."""
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
    vault = UpstreamToken.objects.filter(session_id__in=session_ids).order_by("-pk")
    known = dict(vault.values_list("session_id", "provider"))
    rows = PendingAuthorization.objects.filter(pk__in=session_ids)
    return known | dict(rows.values_list("pk", "provider"))


# -- how they end ------------------------------------------------------------------------------------------


@retries_on_conflict
def end_session(session_id: UUID) -> bool:
    """Revoke everything that came of one sign-in; say whether there was anything.

    After it returns nothing of the session works, and its client will hear of it.
    """
    with transaction.atomic(using=_database()):
        member = family.live_member(session_id)
        family.revoke(session_id)
        while family.is_alive(session_id):
            # A refresh was under way: it has committed a successor since the family was read. Every member that
            # was seen is locked by now, so this ends.
            family.revoke(session_id)
        store.delete(session_id)
        # A browser that waits to be signed in by this session waits in vain.
        PendingAuthorization.objects.filter(pk=session_id, is_deferred=True, resumed_at__isnull=True).update(
            resumed_at=timezone.now()
        )
        if member is not None:
            backchannel.note(session_id, member.application, subject=str(member.user_id))
    return member is not None


def end_session_of(user: AbstractBaseUser, session_id: UUID) -> None:
    """End one of *user*'s own sessions.

    Raises:
        NoSuchSession: There is none of this id that is theirs.
    """
    member = family.live_member(session_id)
    if member is None or member.user_id != user.pk:
        raise NoSuchSession
    end_session(session_id)


def end_sessions_at(user: AbstractBaseUser, client: clients.Client) -> int:
    """End all sessions of *user* at one client, and what could become one; return how many there were."""
    return _end_all(user.pk, client_pk=client.pk)


def end_all_sessions(user: AbstractBaseUser) -> int:
    """End all sessions of *user* at all clients, and what could become one; return how many there were.

    For hosts too: after a password was changed or an account was taken over. The browsers in which the person is
    signed in on this site are Django's (``update_session_auth_hash``, or the session's own rows).
    """
    return _end_all(user.pk)


@retries_on_conflict
def _end_all(user_pk: Any, *, client_pk: Any = None, but: UUID | None = None) -> int:
    only = {} if client_pk is None else {"client_id": client_pk}
    with transaction.atomic(using=_database()):
        # First the codes: an exchange that is under way is waited for, and then its tokens are seen below.
        open_flows = PendingAuthorization.objects.filter(
            user_id=user_pk, status__in=[Status.AUTHENTICATED, Status.CODE_ISSUED], **only
        ).exclude(pk=but or NOTHING)
        open_flows.update(status=Status.FAILED, last_error="ended", private="", updated_at=timezone.now())
        ended = sum(map(end_session, family.families_of(user_pk, client_pk=client_pk)))
        family.revoke_loose(user_pk, client_pk=client_pk)
        store.delete_of_user(user_pk, client_id=client_pk, but=but)
    return ended


def finalize(provider: Provider, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> bool:
    """Write what *provider* committed, in the caller's transaction; say whether it changed the user's password.

    A changed password ends the person's other sessions: who knew the old one is out (NIST SP 800-63B §4.4, and
    what Django does with its own sessions).
    """
    before = user.password if user.password and user.has_usable_password() else ""
    provider.finalize(commit, user=user, session_id=session_id)
    if not before or user.password == before:
        return False
    _end_all(user.pk, but=session_id)
    return True


@retries_on_conflict
def withdraw(user: AbstractBaseUser, client: clients.Client) -> int:
    """Take back what *user* allowed *client*: it is asked for anew, and its sessions end."""
    with transaction.atomic(using=_database()):
        Consent.objects.filter(user_id=user.pk, client=client).delete()
        return end_sessions_at(user, client)


def forget_upstream(session_id: UUID) -> None:
    """Delete the upstream tokens of a session that came to nothing, in the caller's transaction."""
    store.delete(session_id)


# -- when the person is no more ------------------------------------------------------------------------------

#: Deactivated people of one sweep.
ROUND = 500


def note_deactivation(sender: Any, instance: AbstractBaseUser, raw: bool = False, **kwargs: Any) -> None:
    """Receive ``post_save`` of the user model. Nothing is asked of the database while people are active."""
    if not raw and not instance.is_active:
        end_all_sessions(instance)


def note_deletion(sender: Any, instance: AbstractBaseUser, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of the user model: their tokens go with them, and who has to hear it is noted first."""
    end_all_sessions(instance)


def end_sessions_of_inactive() -> int:
    """End what is left of people who were deactivated behind our back; their tokens were refused already."""
    return sum(_end_all(user_pk) for user_pk in family.inactive_owners(ROUND))
