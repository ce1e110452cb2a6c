"""What do clients call a person: the ``sub`` of tokens, userinfo and answers (OpenID Connect Core §8).

``SUBJECT_TYPE`` says it: the primary key, a random text that all clients see, or one for each sector. A random one is
written when the first tokens are, in their transaction, and never changes. With ``public`` nothing is read or written.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router, transaction
from django.db.models import QuerySet

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import SubjectIdentifier
from django_lazyauth.tokens.bearer import Bearer, first_client_of
from django_lazyauth.tokens.writes import Upsert, Writes
from django_lazyauth.toolkit import clients

#: The sector of all clients.
ALL: Final = ""
#: Before the id of a client that is a sector by itself. No host begins like this.
OWN: Final = "client:"


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
    with transaction.atomic(using=using, savepoint=False):
        Writes((Upsert(row, unique=("user_id", "sector"), update=()),)).run()
        if not row._state.adding:
            return row.subject
        # The read locks, because at MariaDB's REPEATABLE READ others show what was there before.
        return _subjects(user.pk, sector).select_for_update().get()


def _subjects(user_pk: Any, sector: str) -> QuerySet[SubjectIdentifier, str]:
    return _rows().filter(user_id=user_pk, sector=sector).values_list("subject", flat=True)


def _rows() -> QuerySet[SubjectIdentifier]:
    return SubjectIdentifier.objects.using(router.db_for_write(SubjectIdentifier))


def subject_of(bearer: Bearer) -> str:
    """Return what the client of an access token of a person calls them; that of the first client for one handed on.

    One query, and two more where a subject may differ from client to client. None with ``public``.
    """
    if lazyauth_settings.subject_type == "public":
        return str(bearer.user.pk)
    if bearer.noted_subject:
        return bearer.noted_subject
    client = bearer.client
    if lazyauth_settings.subject_type == "pairwise":
        client = first_client_of(bearer.access_token) or client
    return subject_for(bearer.user, client)


def last_subjects(pairs: Collection[tuple[Any, clients.Client]]) -> dict[tuple[Any, Any], str]:
    """Return what each client last called each user, by their primary keys. One query at most; nothing is written.

    Who got no tokens since ``SUBJECT_TYPE`` was ``public`` is known by the primary key.
    """
    kind = lazyauth_settings.subject_type
    named = {(user_pk, client.pk): sector_of(client, kind) for user_pk, client in pairs}
    found = {}
    if kind != "public" and named:
        users, sectors = {user_pk for user_pk, _client in named}, set(named.values())
        rows = _rows().filter(user_id__in=users, sector__in=sectors)
        found = {(row.user_id, row.sector): row.subject for row in rows.only("user_id", "sector", "subject")}
    return {pair: found.get((pair[0], sector), str(pair[0])) for pair, sector in named.items()}


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
    """Return the user whom tokens of this site call *subject*, in whichever sector. Not for ``public``."""
    named = _rows().filter(subject=subject).values("user_id")
    return get_user_model()._default_manager.filter(pk__in=named)


def are_clients_here() -> bool:
    """Say whether any client is registered here, which may know people. ``False`` where there is no database yet."""
    try:
        return bool(clients.get_client_model()._default_manager.exists())
    except (DatabaseError, ImproperlyConfigured):
        return False


def is_subject(text: str) -> bool:
    """Say whether tokens of this site call anybody *text*. One query, none with ``public``."""
    return lazyauth_settings.subject_type != "public" and _rows().filter(subject=text).exists()
