"""Read one bundle, and open the tokens that the caller needs.

Each call to an upstream begins with a vault read. It is one SELECT by the unique index through a plain
cursor, and one opened seal; model instances would take more than twice the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import BundleNotFound
from django_lazyauth.kit.times import known_time
from django_lazyauth.models import UpstreamToken

from .cipher import Place, get_cipher
from .tokens import TOKEN_FIELDS, Binding, UpstreamBundle

SEALED_COLUMNS: Final = ("access_token", "refresh_token", "id_token")
BINDING_COLUMNS: Final = ("session_id", "provider", "user", "client")
COLUMNS: Final = ("id", "subject", *TOKEN_FIELDS, "is_dead", "version", "lease_until")


@dataclass(frozen=True, slots=True)
class UpstreamCredential:
    """An access token, for code that calls an upstream for the person. It never holds the refresh token.

    Attributes:
        subject: The person's subject at the upstream.
        expires_at: Aware time when the access token expires; ``None`` where the upstream did not say.
        version: Which rotation this is; pass it as ``seen_version`` if the upstream refuses the token.
    """

    provider: str
    subject: str
    access_token: str = field(repr=False)
    token_type: str
    scope: str
    expires_at: datetime | None
    version: int


def credential_of(bundle: UpstreamBundle) -> UpstreamCredential:
    """Return the credential of an opened bundle."""
    return UpstreamCredential(
        bundle.provider,
        bundle.subject,
        bundle.access_token,
        bundle.token_type,
        bundle.scope,
        bundle.expires_at,
        bundle.version,
    )


@dataclass(slots=True)
class StoredBundle:
    """A row as it was read, with its tokens still sealed. Its fields have the order of ``COLUMNS``."""

    binding: Binding
    pk: int
    subject: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str = field(repr=False)
    token_type: str
    scope: str
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    is_dead: bool
    version: int
    leased_until: datetime | None

    @sensitive_variables()
    def credential(self) -> UpstreamCredential:
        """Open the access token.

        Raises:
            SealBroken: It cannot be opened. The person has to sign in at the upstream again.
        """
        session_id, provider = self.binding.session_id, self.binding.provider
        place = Place("UpstreamToken", session_id, provider, "access_token")
        return UpstreamCredential(
            provider,
            self.subject,
            get_cipher().open(self.access_token, place),
            self.token_type,
            self.scope,
            self.expires_at,
            self.version,
        )

    @sensitive_variables()
    def bundle(self) -> UpstreamBundle:
        """Open every token.

        Raises:
            SealBroken: As :meth:`credential`.
        """
        opened = {column: self._open(column) for column in SEALED_COLUMNS}
        tokens = {name: getattr(self, name) for name in TOKEN_FIELDS} | opened
        return UpstreamBundle(
            **tokens,
            **self.binding._asdict(),
            subject=self.subject,
            version=self.version,
            is_dead=self.is_dead,
        )

    def _open(self, column: str) -> str:
        sealed: str = getattr(self, column)
        return get_cipher().open(sealed, place_of(*self.binding[:2], column)) if sealed else ""


def place_of(session_id: Any, provider: str, column: str) -> Place:
    """Return the place that a token is sealed for."""
    return Place("UpstreamToken", session_id, provider, column)


def database() -> str:
    """Return the alias that bundles are written to, and read from because a replica may be behind."""
    return router.db_for_write(UpstreamToken)


def read(binding: Binding) -> StoredBundle:
    """Return the bundle of *binding*, expired or not.

    Raises:
        BundleNotFound: There is none.
    """
    connection = connections[database()]
    prepare_session, prepare_user, prepare_client = _preparers()
    session_id, provider, user_id, client_id = binding
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
    return _bundle(binding, row, connection)


def _bundle(binding: Binding, row: tuple[Any, ...], connection: BaseDatabaseWrapper) -> StoredBundle:
    pk, subject, access, refresh, id_token, kind, scope, expires, refresh_expires, is_dead, version, lease = (
        row
    )
    return StoredBundle(
        binding,
        pk,
        subject,
        access,
        refresh,
        id_token,
        kind,
        scope,
        _aware(expires, connection) if expires is not None else None,
        _aware(refresh_expires, connection) if refresh_expires is not None else None,
        bool(is_dead),
        version,
        _aware(lease, connection) if lease is not None else None,
    )


@cache
def _select(alias: str) -> str:
    meta: Any = UpstreamToken._meta
    quote = connections[alias].ops.quote_name
    columns = ", ".join(quote(meta.get_field(name).column) for name in COLUMNS)
    session, provider, user, client = (quote(meta.get_field(name).column) for name in BINDING_COLUMNS)
    # The unique key finds the row. User and client are compared in a CASE, so that no planner considers their
    # indexes, which it would do on each call.
    return (
        f"SELECT {columns} FROM {quote(meta.db_table)} WHERE {session} = %s AND {provider} = %s"  # noqa: S608 - names of our own tables, no value
        f" AND CASE WHEN {user} = %s AND {client} = %s THEN 1 ELSE 0 END = 1"
    )


@cache
def _preparers() -> tuple[Any, Any, Any]:
    """Return the converters to database values of session, user and client: a host's keys may be UUIDs."""
    meta: Any = UpstreamToken._meta
    fields = (meta.get_field(name) for name in ("session_id", "user", "client"))
    session, user, client = (getattr(field, "target_field", field).get_db_prep_value for field in fields)
    return session, user, client


def _aware(value: Any, connection: BaseDatabaseWrapper) -> datetime | None:
    """Return an aware time. A plain cursor gives an aware time, a naive one or a text, as its driver does.

    ``None`` for a time that nobody can have meant. Earlier versions moved such times in.
    """
    if isinstance(value, str):
        value = parse_datetime(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=connection.timezone)
    return known_time(value)
