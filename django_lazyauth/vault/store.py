"""Write, list and delete upstream token bundles, one per (session, provider).

A caller names session, provider, user and client of a bundle; if one is wrong, nothing is found.

Not here: any call to an upstream, and any transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import BundleNotFound, SealBroken
from django_lazyauth.models import LegacyUpstreamToken, UpstreamToken
from django_lazyauth.tokens.writes import Upsert, Writes

from .cipher import get_cipher
from .read import SEALED_COLUMNS, StoredBundle, database, place_of, read
from .tokens import TOKEN_FIELDS, Binding, UpstreamBundle

logger = logging.getLogger("django_lazyauth.vault")

_REPLACED: Final = (
    *TOKEN_FIELDS,
    "user",
    "client",
    "subject",
    "retain_until",
    "is_dead",
    "lease",
    "lease_until",
    "updated_at",
)

__all__ = ["BundleNotFound", "UpstreamBundle", "columns_of", "delete", "get", "get_all", "store"]


@sensitive_variables()
def columns_of(bundle: UpstreamBundle) -> dict[str, Any]:
    """Return the token columns of a row, sealed where they hold a token; an absent token stays empty."""
    cipher = get_cipher()
    columns = bundle.values()
    for name in SEALED_COLUMNS:
        if columns[name]:
            columns[name] = cipher.seal(columns[name], place_of(bundle.session_id, bundle.provider, name))
    return columns


@sensitive_variables()
def store(bundle: UpstreamBundle) -> None:
    """Write *bundle* for its (session, provider), replacing what is stored there.

    The stored version grows by one and a lease ends, so a refresh of the old bundle that is still running writes
    nothing. If *bundle* has no refresh token, the one of an earlier sign-in of the same subject is kept, never
    that of another subject. One INSERT, or on a conflict one UPDATE, in the caller's transaction; one SELECT
    before it where there is no refresh token.
    """
    columns = columns_of(bundle)
    if not bundle.refresh_token:
        columns |= _refresh_token_of_earlier_sign_in(bundle)
    row = UpstreamToken(
        session_id=bundle.session_id,
        provider=bundle.provider,
        user_id=bundle.user_id,
        client_id=bundle.client_id,
        subject=bundle.subject,
        retain_until=timezone.now() + lazyauth_settings.vault_retention,
        **columns,
    )
    Writes((Upsert(row, unique=("session_id", "provider"), update=_REPLACED, grow=("version",)),)).run()


def _refresh_token_of_earlier_sign_in(bundle: UpstreamBundle) -> dict[str, Any]:
    """Return the sealed refresh token and its expiry. It was sealed for the same place, so it opens there."""
    using = database()
    stored = UpstreamToken.objects.using(using).filter(
        session_id=bundle.session_id,
        provider=bundle.provider,
        subject=bundle.subject,
        user_id=bundle.user_id,
        client_id=bundle.client_id,
        is_dead=False,
    )
    if connections[using].in_atomic_block:
        stored = stored.select_for_update()
    return dict(stored.values("refresh_token", "refresh_expires_at").first() or {})


@sensitive_variables()
def get(session_id: UUID, provider: str, *, user_id: Any, client_id: Any) -> UpstreamBundle:
    """Return the bundle, expired or not.

    Raises:
        BundleNotFound: There is none for exactly these four.
        SealBroken: It cannot be opened. The person has to sign in at the upstream again.
    """
    return read(Binding(session_id, provider, user_id, client_id)).bundle()


def get_all(session_id: UUID) -> Iterator[UpstreamBundle]:
    """Yield the bundles of a session, expired ones too. One that cannot be opened is skipped with a warning."""
    for row in UpstreamToken.objects.of_session(session_id).order_by("provider"):
        stored = StoredBundle(
            Binding(session_id, row.provider, row.user_id, row.client_id),
            row.pk,
            row.subject,
            **{name: getattr(row, name) for name in TOKEN_FIELDS},
            is_dead=row.is_dead,
            version=row.version,
            leased_until=row.lease_until,
        )
        try:
            yield stored.bundle()
        except SealBroken:
            logger.warning("skipped an upstream token that cannot be opened (provider %s)", row.provider)


def delete(session_id: UUID) -> int:
    """Delete every bundle of a session; return how many there were.

    The row in the old format is deleted first. A migration that is moving it holds a lock on it, so the second
    statement runs after the migration and finds the new row. It is deleted by primary key, as the migration
    locks it: InnoDB aborts one of two transactions that lock a row through different indexes.
    """
    _delete_legacy(Q(session_id=str(session_id)))
    return UpstreamToken.objects.of_session(session_id).delete()[0]


def delete_of_user(user_id: Any, *, client_id: Any = None, but: UUID | None = None) -> None:
    """Delete every bundle of a user, of one client only if it is given, in every session except *but*."""
    only = Q(user_id=user_id) if client_id is None else Q(user_id=user_id, client_id=client_id)
    _delete_legacy(only & ~Q(session_id=str(but)))
    UpstreamToken.objects.filter(only if but is None else only & ~Q(session_id=but)).delete()


def _delete_legacy(where: Q) -> None:
    legacy = LegacyUpstreamToken.objects.using(database())
    if old := list(legacy.filter(where).values_list("pk", flat=True)):
        legacy.filter(pk__in=old).delete()
