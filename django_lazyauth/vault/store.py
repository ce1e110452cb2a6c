"""Keep and find upstream token bundles, one per (session, provider).

Binding is enforced in the query: who asks for a bundle names session, provider, user and client, and a wrong
one finds nothing. This module writes rows and opens seals; it talks to no upstream and opens no transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections, models, router
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import BundleNotFound, SealBroken
from django_lazyauth.models import LegacyUpstreamToken, UpstreamToken

from .cipher import Cipher, Place, get_cipher

logger = logging.getLogger("django_lazyauth.vault")

__all__ = ["BundleNotFound", "UpstreamBundle", "delete", "get", "get_all", "store"]

SEALED_COLUMNS = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class UpstreamBundle:
    """The tokens that one upstream gave one session, in the clear: never logged, never shown.

    Attributes:
        expires_at: Aware time when the access token ends; ``None`` where the upstream did not say.
        refresh_expires_at: The same of the refresh token.
        version: Counts the rotations; 0 for a bundle that is not stored yet.
        is_dead: The upstream refused the refresh token: only a new sign-in helps.
    """

    session_id: UUID
    provider: str
    user_id: Any
    client_id: Any
    subject: str
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    token_type: str = "Bearer"
    scope: str = ""
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    version: int = 0
    is_dead: bool = False

    def is_expired(self, now: datetime | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (now or timezone.now())


def _place(session_id: UUID, provider: str, column: str) -> Place:
    return Place("UpstreamToken", session_id, provider, column)


def seal(bundle: UpstreamBundle) -> dict[str, str]:
    """Return the sealed columns of *bundle*; a token that is not there stays empty."""
    cipher = get_cipher()
    return {
        column: cipher.seal(value, _place(bundle.session_id, bundle.provider, column))
        if (value := getattr(bundle, column))
        else ""
        for column in SEALED_COLUMNS
    }


def store(bundle: UpstreamBundle) -> None:
    """Write *bundle* as the one of its (session, provider); a newer sign-in replaces what stood there.

    The version grows from the one that is stored, and a lease ends: whoever is refreshing the old bundle will
    find that it is over. Where the upstream gave no refresh token this time, the one of an earlier sign-in of
    the same subject is kept, and never that of another. One INSERT, or on a conflict one UPDATE, in the
    caller's transaction; one SELECT before it where there is no refresh token.
    """
    columns: dict[str, Any] = seal(bundle)
    columns["refresh_expires_at"] = bundle.refresh_expires_at
    if not bundle.refresh_token:
        columns |= _refresh_token_of_earlier_sign_in(bundle)
    row = UpstreamToken(
        session_id=bundle.session_id,
        provider=bundle.provider,
        user_id=bundle.user_id,
        client_id=bundle.client_id,
        subject=bundle.subject,
        token_type=bundle.token_type,
        scope=bundle.scope,
        expires_at=bundle.expires_at,
        retain_until=timezone.now() + lazyauth_settings.vault_retention,
        version=_version_after_stored(bundle),
        **columns,
    )
    UpstreamToken.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=None if _is_mysql() else ["session_id", "provider"],
        update_fields=[
            *SEALED_COLUMNS,
            "user",
            "client",
            "subject",
            "token_type",
            "scope",
            "expires_at",
            "refresh_expires_at",
            "retain_until",
            "is_dead",
            "version",
            "lease",
            "lease_until",
            "updated_at",
        ],
    )


def _refresh_token_of_earlier_sign_in(bundle: UpstreamBundle) -> dict[str, Any]:
    """Return sealed refresh token and its expiry: the place is the same, so the ciphertext fits."""
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


def _version_after_stored(bundle: UpstreamBundle) -> RawSQL:
    """Return one more than the stored version, as an expression: no statement of its own.

    A derived table, because MySQL does not let an INSERT read its own table otherwise.
    """
    connection = connections[database()]
    table = connection.ops.quote_name(UpstreamToken._meta.db_table)
    key = UpstreamToken._meta.get_field("session_id").get_db_prep_value(bundle.session_id, connection)
    # The only name put in is that of our own table.
    stored = f"SELECT version FROM {table} WHERE session_id = %s AND provider = %s"  # noqa: S608 - names of our own tables, no value
    grown = f"COALESCE((SELECT stored.version FROM ({stored}) stored), 0) + 1"  # noqa: S608 - names of our own tables, no value
    return RawSQL(grown, [key, bundle.provider], output_field=models.PositiveIntegerField())  # noqa: S611 - values are parameters


def database() -> str:
    """Return the alias that bundles are written to, and read from where a replica could be behind."""
    return router.db_for_write(UpstreamToken)


def _is_mysql() -> bool:
    return connections[database()].vendor == "mysql"


def get(session_id: UUID, provider: str, *, user_id: Any, client_id: Any) -> UpstreamBundle:
    """Return the bundle, expired or not.

    Raises:
        BundleNotFound: There is none for exactly these four.
        SealBroken: It cannot be opened: signed out upstream, in effect.
    """
    row = (
        UpstreamToken.objects.using(database())
        .filter(session_id=session_id, provider=provider, user_id=user_id, client_id=client_id)
        .first()
    )
    if row is None:
        raise BundleNotFound
    return _open(row, get_cipher())


def get_all(session_id: UUID) -> Iterator[UpstreamBundle]:
    """Yield the bundles of a session, expired ones too. What cannot be opened is skipped with a warning."""
    cipher = get_cipher()
    for row in UpstreamToken.objects.of_session(session_id).order_by("provider"):
        try:
            yield _open(row, cipher)
        except SealBroken:
            logger.warning("skipped an upstream token that cannot be opened (provider %s)", row.provider)


def delete(session_id: UUID) -> int:
    """Forget every bundle of a session; return how many there were.

    One in the old format goes first: a migration that is moving it holds its row, and when it lets go, the next
    statement finds the new one. By primary key, as the migration takes it: of two that lock a row through
    different indexes, InnoDB sends one away.
    """
    _delete_legacy(Q(session_id=str(session_id)))
    return UpstreamToken.objects.of_session(session_id).delete()[0]


def delete_of_user(user_id: Any, *, client_id: Any = None, but: UUID | None = None) -> None:
    """Forget every bundle of a user, or of what one client holds for them, of whatever session but one."""
    only = Q(user_id=user_id) if client_id is None else Q(user_id=user_id, client_id=client_id)
    _delete_legacy(only & ~Q(session_id=str(but)))
    UpstreamToken.objects.filter(only if but is None else only & ~Q(session_id=but)).delete()


def _delete_legacy(where: Q) -> None:
    legacy = LegacyUpstreamToken.objects.using(database())
    if old := list(legacy.filter(where).values_list("pk", flat=True)):
        legacy.filter(pk__in=old).delete()


def _open(row: UpstreamToken, cipher: Cipher) -> UpstreamBundle:
    opened = {
        column: cipher.open(value, _place(row.session_id, row.provider, column))
        if (value := getattr(row, column))
        else ""
        for column in SEALED_COLUMNS
    }
    return UpstreamBundle(
        session_id=row.session_id,
        provider=row.provider,
        user_id=row.user_id,
        client_id=row.client_id,
        subject=row.subject,
        token_type=row.token_type,
        scope=row.scope,
        expires_at=row.expires_at,
        refresh_expires_at=row.refresh_expires_at,
        version=row.version,
        is_dead=row.is_dead,
        **opened,
    )
