"""How a session ends. Every way to end one calls this module.

One transaction revokes the refresh family, deletes the access tokens and the upstream tokens, and records that the
client must be told (I2, I11).

Not here: how the client is told (``delivery``, ``backchannel``), the browser's sign-in on this site (``browser``),
which flows could become a session (``flows``), and people and clients that are deleted (``deletion``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, router, transaction
from django.utils import timezone

from django_lazyauth.kit.retry import StaleSnapshot, retries_on_conflict
from django_lazyauth.models import (
    Consent,
    DeviceAuthorization,
    DeviceStatus,
    PendingAuthorization,
    ProviderIdentity,
    Reason,
    Status,
)
from django_lazyauth.providers.base import Json, Provider
from django_lazyauth.providers.registry import with_accounts_of
from django_lazyauth.tokens import family
from django_lazyauth.toolkit import clients
from django_lazyauth.users import history
from django_lazyauth.vault import leave

from . import flows, logout_queue

#: The id of no session (RFC 9562 §5.9).
NIL = UUID(int=0)
#: How often a family is revoked within one transaction. A client that refreshes without a pause can be first each time.
REVOCATIONS: Final = 10


class NoSuchSession(LookupError):
    """The session belongs to somebody else or has ended. The caller does not learn which."""


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


@retries_on_conflict
def end_session(session_id: UUID, *, withdrawn: bool = False) -> bool:
    """End one session and say whether it was alive.

    When it returns, no token of the session works. Its client is told after the commit.

    Args:
        withdrawn: The person left, and did not only sign out: see :func:`.leave.leave_unused`.
    """
    with transaction.atomic(using=_database()):
        member = family.live_member(session_id)
        _revoke(session_id)
        leave.delete(session_id, withdrawn=withdrawn)
        # The session must not sign a browser in any more: see `browser.resume`.
        PendingAuthorization.objects.filter(pk=session_id, is_deferred=True, resumed_at__isnull=True).update(
            resumed_at=timezone.now()
        )
        if member is not None:
            logout_queue.note(session_id, member.application, user_pk=member.user_id)
    return member is not None


def _revoke(session_id: UUID) -> None:
    """Revoke the family, in the caller's transaction.

    Raises:
        StaleSnapshot: The transaction does not see what lives.
    """
    for _ in range(REVOCATIONS):
        family.revoke(session_id)
        if not family.is_alive(session_id):
            return
        # A concurrent refresh committed a successor after the family was read. Every member that was read is locked
        # now. The next one finds the successor, unless the snapshot hides it, and waits if it is being used itself.
    raise StaleSnapshot


def end_session_of(user: AbstractBaseUser, session_id: UUID) -> None:
    """End a session of *user*.

    Raises:
        NoSuchSession: *user* has no such session.
    """
    member = family.live_member(session_id)
    if member is None or member.user_id != user.pk:
        raise NoSuchSession
    end_session(session_id)


def end_sessions_at(user: AbstractBaseUser, client: clients.Client, *, withdrawn: bool = False) -> int:
    """End all sessions of *user* at one client, and flows that could become one. Return how many sessions ended."""
    return _end_all(user.pk, client_pk=client.pk, withdrawn=withdrawn)


def end_all_sessions(user: AbstractBaseUser, *, withdrawn: bool = False) -> int:
    """End all sessions of *user* at all clients, and flows that could become one. Return how many sessions ended.

    A host may call it, for example after a password change or an account takeover. The browser sessions of this site
    are Django's own: end them with ``update_session_auth_hash`` or delete their rows.
    """
    return _end_all(user.pk, withdrawn=withdrawn)


@retries_on_conflict
def _end_all(
    user_pk: Any, *, client_pk: Any = None, keep: UUID | None = None, withdrawn: bool = False
) -> int:
    with transaction.atomic(using=_database()):
        family.lock(user_pk)
        # Flows first: their UPDATE waits for a concurrent exchange, whose tokens are then found below.
        flows.end_flows(
            flows.of_user(user_pk, client_pk=client_pk).exclude(pk=keep or NIL), withdrawn=withdrawn
        )
        sessions = family.families_of(user_pk, client_pk=client_pk)
        ended = sum(end_session(session_id, withdrawn=withdrawn) for session_id in sessions)
        family.revoke_loose(user_pk, client_pk=client_pk)
        leave.delete_of_user(user_pk, client_id=client_pk, but=keep, withdrawn=withdrawn)
    return ended


@retries_on_conflict
def end_flow(session_id: UUID) -> bool:
    """End an authorization request, or the session that it became; say whether it was a live session."""
    with transaction.atomic(using=_database()):
        flows.end_flows(flows.open_flows().filter(pk=session_id))
        return end_session(session_id)


@retries_on_conflict
def delete_flows(session_ids: Iterable[UUID]) -> int:
    """End authorization requests or their sessions, and delete their rows. Return how many sessions ended."""
    keys = list(session_ids)
    with transaction.atomic(using=_database()):
        ended = sum(map(end_flow, keys))
        PendingAuthorization.objects.filter(pk__in=keys).delete()
    return ended


@retries_on_conflict
def end_flows_at(client_pks: Iterable[Any]) -> None:
    """End what could become a session at these clients, which were disabled. Their sessions stay.

    What was handed on of those ends: its own client is not disabled, and nobody would look at this one.
    """
    with transaction.atomic(using=_database()):
        keys = list(client_pks)
        flows.end_flows(flows.of_clients(keys), reason=Reason.CLIENT_DISABLED)
        flows.end_devices_of(keys)
        family.forget_handed_on(keys)


@retries_on_conflict
def end_devices(device_pks: Iterable[Any]) -> int:
    """End what devices wait for. Return how many may get no tokens any more; one that has its own keeps them."""
    rows = DeviceAuthorization.objects.using(_database())
    with transaction.atomic(using=_database()):
        waiting = rows.filter(pk__in=list(device_pks)).alive()
        pairs = list(waiting.values_list("pk", "pending_id"))
        keys = [pk for pk, _pending in pairs]
        flows.end_flows(flows.open_flows().filter(pk__in=[key for _pk, key in pairs if key]))
        rows.filter(pk__in=keys).close(DeviceStatus.ENDED)
        return rows.filter(pk__in=keys, status=DeviceStatus.ENDED).count()


@retries_on_conflict
def end_identity(identity: ProviderIdentity) -> int:
    """End what a person signed in to with *identity*, which is deleted or about to be, and its upstream tokens.

    Flows, sessions, and the sign-ins of browsers on this site (:func:`.browser.current_user`). Return how many
    sessions ended.
    """
    with transaction.atomic(using=_database()):
        flows.end_flows(flows.of_identity(identity), withdrawn=True)
        begun = PendingAuthorization.objects.using(_database()).filter(
            flows.signed_in_with(identity), status=Status.EXCHANGED
        )
        sessions = list(begun.values_list("pk", flat=True))
        ended = sum(end_session(session_id, withdrawn=True) for session_id in sessions)
        others = ProviderIdentity.objects.using(_database()).filter(
            user_id=identity.user_id, provider=identity.provider
        )
        if not others.exclude(pk=identity.pk).exists():
            leave.delete_of_user(
                identity.user_id, providers=with_accounts_of(identity.provider), withdrawn=True
            )
    return ended


def finalize(provider: Provider, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> bool:
    """Let *provider* write its commit, in the caller's transaction; say whether that changed the user's password.

    A changed password ends the person's other sessions, because an attacker may have known the old one
    (NIST SP 800-63B §4.4; Django does the same with its sessions).
    """
    before = user.password if user.password and user.has_usable_password() else ""
    provider.finalize(commit, user=user, session_id=session_id)
    if not before or user.password == before:
        return False
    _end_all(user.pk, keep=session_id)
    history.note_password(user)
    return True


@retries_on_conflict
def withdraw(user: AbstractBaseUser, client: clients.Client) -> int:
    """Withdraw the consent of *user* for *client* and end its sessions. The next request asks for consent anew.

    Until it commits, a code may be issued without a question. It, or what came of it, ends after the commit.
    """
    with transaction.atomic(using=_database()):
        ended = end_sessions_at(user, client, withdrawn=True)
        # After the flows: an exchange under way writes the consent last, too.
        Consent.objects.filter(user_id=user.pk, client=client).delete()
        again = partial(_end_all, user.pk, client_pk=client.pk, withdrawn=True)
        transaction.on_commit(again, using=_database(), robust=True)
    return ended


# -- deactivated users ----------------------------------------------------------------------------------------

#: Users that one statement asks for.
AT_ONCE = 50


def end_on_deactivation(sender: Any, instance: AbstractBaseUser, raw: bool = False, **kwargs: Any) -> None:
    """Receive ``post_save`` of the user model. For an active user no query runs.

    Inside a transaction, as in the admin, other processes see an active user until it commits. What they issue
    until then ends after the commit.
    """
    if raw or instance.is_active:
        return
    end_all_sessions(instance, withdrawn=True)
    if connections[_database()].in_atomic_block:
        transaction.on_commit(partial(_end_all, instance.pk, withdrawn=True), using=_database(), robust=True)


def end_sessions_of(user_pks: list[Any]) -> int:
    """End the sessions of many deactivated users. Those without any cost little."""
    chunks = (user_pks[start : start + AT_ONCE] for start in range(0, len(user_pks), AT_ONCE))
    return sum(
        _end_all(user_pk, withdrawn=True) for chunk in chunks for user_pk in family.owners_among(chunk)
    )
