"""Read what nearly every call needs and nothing else: is the access token good, and what is it?

A vault read stands in front of each call to an upstream, so it is one SELECT by the unique index through a
plain cursor, and one opened seal. Model instances would take more than twice the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import BundleNotFound
from django_lazyauth.models import UpstreamToken

from .cipher import Place, get_cipher
from .store import database

BINDING: Final = ("session_id", "provider", "user", "client")
COLUMNS: Final = (
    "id",
    "subject",
    "access_token",
    "token_type",
    "scope",
    "expires_at",
    "is_dead",
    "version",
    "lease_until",
)


@dataclass(frozen=True, slots=True)
class UpstreamCredential:
    """What code needs to call an upstream for the person. Never the refresh token.

    Attributes:
        subject: Who the person is at the upstream.
        expires_at: Aware time when the access token ends; ``None`` where the upstream did not say.
        version: Which rotation this is; give it back as ``seen_version`` if the upstream refuses the token.
    """

    provider: str
    subject: str
    access_token: str = field(repr=False)
    token_type: str
    scope: str
    expires_at: datetime | None
    version: int


@dataclass(slots=True)
class Peeked:
    """A bundle at a glance: its access token still sealed, its refresh token not even read."""

    pk: int
    session_id: UUID
    provider: str
    subject: str
    sealed_access_token: str = field(repr=False)
    token_type: str
    scope: str
    expires_at: datetime | None
    is_dead: bool
    version: int
    is_leased: bool

    @sensitive_variables()
    def open(self) -> UpstreamCredential:
        """Return what it holds.

        Raises:
            SealBroken: It cannot be opened: signed out upstream, in effect.
        """
        place = Place("UpstreamToken", self.session_id, self.provider, "access_token")
        return UpstreamCredential(
            self.provider,
            self.subject,
            get_cipher().open(self.sealed_access_token, place),
            self.token_type,
            self.scope,
            self.expires_at,
            self.version,
        )


def peek(session_id: UUID, provider: str, *, user_id: Any, client_id: Any) -> Peeked:
    """Return the bundle of exactly these four, expired or not.

    Raises:
        BundleNotFound: There is none.
    """
    connection = connections[database()]
    prepare_session, prepare_user, prepare_client = _preparers()
    parameters = (
        prepare_session(session_id, connection),
        provider,
        user_id if type(user_id) is int else prepare_user(user_id, connection),
        client_id if type(client_id) is int else prepare_client(client_id, connection),
    )
    with connection.cursor() as cursor:
        cursor.execute(_select(connection.alias), parameters)
        row = cursor.fetchone()
    if row is None:
        raise BundleNotFound
    pk, subject, sealed, token_type, scope, expires_at, is_dead, version, lease_until = row
    return Peeked(
        pk,
        session_id,
        provider,
        subject,
        sealed,
        token_type,
        scope,
        _aware(expires_at, connection),
        bool(is_dead),
        version,
        lease_until is not None,
    )


@cache
def _select(alias: str) -> str:
    meta: Any = UpstreamToken._meta
    quote = connections[alias].ops.quote_name
    columns = ", ".join(quote(meta.get_field(name).column) for name in COLUMNS)
    session, provider, user, client = (quote(meta.get_field(name).column) for name in BINDING)
    # No value is in it: names of our own table and columns only. The key finds the row; that it is this
    # user's and client's is a CASE, so that no planner weighs up their indexes, on each call anew.
    return (
        f"SELECT {columns} FROM {quote(meta.db_table)} WHERE {session} = %s AND {provider} = %s"  # noqa: S608 - names of our own tables, no value
        f" AND CASE WHEN {user} = %s AND {client} = %s THEN 1 ELSE 0 END = 1"
    )


@cache
def _preparers() -> tuple[Any, Any, Any]:
    """Return what makes database values of session, user and client: a host's keys may be UUIDs."""
    meta: Any = UpstreamToken._meta
    fields = (meta.get_field(name) for name in ("session_id", "user", "client"))
    session, user, client = (getattr(field, "target_field", field).get_db_prep_value for field in fields)
    return session, user, client


def _aware(value: Any, connection: BaseDatabaseWrapper) -> datetime | None:
    """Return what a plain cursor gave as an aware time: drivers give aware or naive ones, or texts."""
    if isinstance(value, str):
        value = parse_datetime(value)
    if value is None:
        return None
    return timezone.make_aware(value, connection.timezone) if value.tzinfo is None else value
