"""What do clients call a person: the ``sub`` of tokens, userinfo and answers (OpenID Connect Core §8).

``SUBJECT_TYPE`` says it: the primary key, a random text that all clients see, or one for each sector. A random one is
written when the first tokens are, in their transaction, and never changes. A session keeps the one it began with, also
where the setting changed since. With ``public`` nothing is read or written.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DatabaseError, IntegrityError, connections, router, transaction
from django.db.models import Q, QuerySet, Subquery

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.retry import is_foreign_key_violation, retries_on_conflict
from django_lazyauth.models import PendingAuthorization, SubjectIdentifier
from django_lazyauth.tokens import family
from django_lazyauth.tokens.bearer import Bearer, first_session_of
from django_lazyauth.tokens.writes import Upsert, Writes
from django_lazyauth.toolkit import clients

#: The sector of all clients.
ALL: Final = ""
#: Before the id of a client that is a sector by itself. No host begins like this.
OWN: Final = "client:"
#: How far the clocks of two processes may be apart. One writes a subject, and the other begins a session with it.
LEEWAY: Final = timedelta(seconds=60)


class NoSuchUser(LazyAuthError):
    """The user was deleted meanwhile. Inside a transaction the database says it, and whoever opened it begins anew."""


def served_subject_type() -> str:
    """Return the type of subjects as clients know it: an opaque one is the same for all clients (OIDC Core §8)."""
    return "pairwise" if lazyauth_settings.subject_type == "pairwise" else "public"


# -- sectors -----------------------------------------------------------------------------------------------


def hosts_of(redirect_uris: Iterable[str]) -> set[str]:
    """Return the hosts of redirect URIs. Loopback and the schemes of apps are nobody's host."""
    return {host for uri in redirect_uris if uri.startswith("https://") and (host := _host_of(uri))}


def _host_of(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def sector_of(client: clients.Client | None, subject_type: str) -> str:
    """Return the sector of *client* (OpenID Connect Core §8.1).

    One whose redirect URIs name no host, or several, is a sector by itself.
    """
    if subject_type != "pairwise":
        return ALL
    if client is None:
        return OWN
    if clients.is_of_document(client):
        return _host_of(client.client_id)
    uris = client.redirect_uris.split()
    if clients.is_self_registered(client):
        return registered_sector(client.client_id, uris, clients.stated_grants(client) or ())
    hosts = hosts_of(uris)
    return hosts.pop() if len(hosts) == 1 else f"{OWN}{client.client_id}"


def registered_sector(client_id: str, redirect_uris: Collection[str], grant_types: Collection[str]) -> str:
    """Return the sector of a client that registered this: a host that alone gets what the client asks for.

    A stranger may write down anybody's host. Who gets an answer on loopback, in an app or on a device beside it did not
    show that the host is theirs, and would learn what it calls a person.
    """
    hosts = hosts_of(redirect_uris)
    is_answered_elsewhere = clients.DEVICE_CODE in grant_types or not all(
        uri.startswith("https://") for uri in redirect_uris
    )
    return hosts.pop() if len(hosts) == 1 and not is_answered_elsewhere else f"{OWN}{client_id}"


# -- from a person to a subject ----------------------------------------------------------------------------


def subject_for(user: AbstractBaseUser, client: clients.Client | None, *, is_new: bool = False) -> str:
    """Return what *client* calls *user*, written down now if that is the first time. One query, none with ``public``.

    Args:
        is_new: The user is written in this transaction, so there is nothing to look for.
    """
    if lazyauth_settings.subject_type == "public":
        return str(user.pk)
    sector = sector_of(client, lazyauth_settings.subject_type)
    found = None if is_new else _subjects(user.pk, sector).first()
    return found if found is not None else _write(user, sector)


@retries_on_conflict
def _write(user: AbstractBaseUser, sector: str) -> str:
    """Write a new subject, unless a concurrent request was first. Return the one that stands."""
    using = router.db_for_write(SubjectIdentifier)
    row = SubjectIdentifier(user_id=user.pk, sector=sector, subject=secrets.token_urlsafe(32))
    try:
        with transaction.atomic(using=using, savepoint=False):
            Writes((Upsert(row, unique=("user_id", "sector"), update=()),)).run()
            if not row._state.adding:
                return row.subject
            # The read locks, because at MariaDB's REPEATABLE READ others show what was there before.
            return _subjects(user.pk, sector).select_for_update().get()
    except IntegrityError as error:
        if connections[using].in_atomic_block or not is_foreign_key_violation(error):
            raise
        raise NoSuchUser from None


def _subjects(user_pk: Any, sector: str) -> QuerySet[SubjectIdentifier, str]:
    return _rows().filter(user_id=user_pk, sector=sector).values_list("subject", flat=True)


def _rows() -> QuerySet[SubjectIdentifier]:
    return SubjectIdentifier.objects.using(router.db_for_write(SubjectIdentifier))


# -- within a session --------------------------------------------------------------------------------------


def subject_in(session_id: UUID | None, user: AbstractBaseUser, client: clients.Client | None) -> str:
    """Return what the tokens call *user* with which a session of *client* began (OpenID Connect Core §12.2).

    Its client knows the person by that, whatever ``SUBJECT_TYPE`` is now. One query, none with ``public``; a few for a
    session from before a change.

    Args:
        session_id: ``None`` for a token that belongs to none.

    Raises:
        NoSuchUser: They were deleted, and no transaction is open.
    """
    if session_id is None:
        return subject_for(user, client)
    if lazyauth_settings.subject_type == "public" or _is_of_dot(session_id):
        return str(user.pk)
    session = PendingAuthorization.objects.filter(pk=session_id).values("exchanged_at")
    for sector in _sectors(client):
        rows = _rows().filter(user_id=user.pk, sector=sector).annotate(began_at=Subquery(session))
        for subject, written_at, began_at in rows.values_list("subject", "created_at", "began_at"):
            if _was_told(written_at, began_at):
                return subject
    if family.exists(session_id, user.pk):
        return str(user.pk)
    return subject_for(user, client)


def _sectors(client: clients.Client | None) -> Iterator[str]:
    """Yield the sector of *client*, and those that it may have had before ``SUBJECT_TYPE`` changed."""
    for subject_type in dict.fromkeys((lazyauth_settings.subject_type, "opaque", "pairwise")):
        yield sector_of(client, subject_type)


def _was_told(written_at: datetime, began_at: datetime | None) -> bool:
    """Say whether a session that began then began with a subject of that time."""
    return began_at is None or written_at <= began_at + LEEWAY


def _is_of_dot(session_id: UUID) -> bool:
    """Say whether DOT began the session. It calls people by the primary key. Ours have the time in their ids."""
    return session_id.version != 7


def subject_of(bearer: Bearer) -> str:
    """Return what an access token of a person calls them: as its client does, or the first one if it was handed on.

    Up to two queries, and two more where the token was handed on. None with ``public``.

    Raises:
        NoSuchUser: They were deleted, and no transaction is open.
    """
    if lazyauth_settings.subject_type == "public":
        return str(bearer.user.pk)
    if bearer.noted_subject:
        return bearer.noted_subject
    session_id, client = bearer.session_id, bearer.client
    if session_id is None or bearer.act is not None:
        session_id, client = first_session_of(bearer.access_token) or (session_id, client)
    return subject_in(session_id, bearer.user, client)


def told_subjects(sessions: Mapping[UUID, tuple[Any, clients.Client]]) -> dict[UUID, str]:
    """Return the same for many sessions, with the user's key and the client of each. Two queries at most.

    Nothing is written: who has no subject is known by the primary key.
    """
    found, began_at = dict[tuple[Any, str], SubjectIdentifier](), dict[UUID, datetime | None]()
    if lazyauth_settings.subject_type != "public" and sessions:
        users = {user_pk for user_pk, _client in sessions.values()}
        sectors = {sector for _user, client in sessions.values() for sector in _sectors(client)}
        rows = _rows().filter(user_id__in=users, sector__in=sectors)
        found = {(row.user_id, row.sector): row for row in rows}
        flows = PendingAuthorization.objects.using(_rows().db).filter(pk__in=sessions)
        began_at = dict(flows.values_list("pk", "exchanged_at")) if found else {}

    def told(session_id: UUID, user_pk: Any, client: clients.Client) -> str:
        if not found or _is_of_dot(session_id):
            return str(user_pk)
        named = (found.get((user_pk, sector)) for sector in _sectors(client))
        when = began_at.get(session_id)
        return next((row.subject for row in named if row and _was_told(row.created_at, when)), str(user_pk))

    return {session_id: told(session_id, *named) for session_id, named in sessions.items()}


# -- from a subject to a person ----------------------------------------------------------------------------


def user_key(subject: str, client: clients.Client) -> str:
    """Return the primary key of whom *client* calls *subject*, as text; empty for nobody. With ``public`` no query.

    A subject of another sector names nobody: no client learns that two of them are one person.
    """
    kind = lazyauth_settings.subject_type
    if kind == "public":
        return subject
    rows = _rows().filter(subject=subject, sector=sector_of(client, kind))
    found = rows.values_list("user_id", flat=True).first()
    return "" if found is None else str(found)


def hinted_user_key(subject: str, client: clients.Client) -> str:
    """Return the same of a subject that an ID token of ours names. One from before a change may name the key itself."""
    return user_key(subject, client) or subject


def users_called(subject: str) -> QuerySet[Any]:
    """Return the user whom tokens of this site call *subject*, in whichever sector. Not for ``public``.

    Those of a session from before a change may name the primary key.
    """
    named = Q(pk__in=_rows().filter(subject=subject).values("user_id"))
    with suppress(ValidationError):
        named |= Q(pk=get_user_model()._meta.pk.to_python(subject))
    return get_user_model()._default_manager.filter(named)


def are_clients_here() -> bool:
    """Say whether any client is registered here, which may know people. ``False`` where there is no database yet."""
    try:
        return bool(clients.get_client_model()._default_manager.exists())
    except (DatabaseError, ImproperlyConfigured):
        return False


def is_subject(text: str) -> bool:
    """Say whether tokens of this site call anybody *text*. One query, none with ``public``."""
    return lazyauth_settings.subject_type != "public" and _rows().filter(subject=text).exists()
