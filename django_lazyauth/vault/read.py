"""Read one bundle, and open the tokens that the caller needs.

Each call to an upstream begins with a vault read. It is one SELECT by the unique index, joined with the grant, through
a plain cursor, and two opened seals: the session's ticket and the token. Model instances would take more than twice the
time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final
from uuid import UUID

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import BundleNotFound
from django_lazyauth.kit.times import known_time
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken

from .cipher import Place, get_cipher
from .places import GRANT_COLUMNS, TICKETS, GrantKey, check_ticket, place_of
from .tokens import TOKEN_FIELDS, Binding, UpstreamBundle

SEALED_COLUMNS: Final = ("access_token", "refresh_token", "id_token")
BINDING_COLUMNS: Final = ("session_id", "provider", "user", "client")
#: What is read of the grant, or of a row of an earlier release, which has none.
SHARED_COLUMNS: Final = (*(name for name in TOKEN_FIELDS if name != "id_token"), "version", "lease_until")


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
    """A row and its grant as they were read, with the tokens still sealed. :func:`_bundle` knows the order.

    Attributes:
        pk: Of the session's row.
        grant_id: ``None`` for a row of an earlier release, which holds its tokens itself.
        kept_as: The provider that the grant is kept under.
        version: Of the grant. Another grant may have the same.
    """

    binding: Binding
    pk: int
    subject: str
    grant_id: UUID | None
    kept_as: str
    ticket: str = field(repr=False)
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

    @property
    def stand(self) -> tuple[UUID | None, int]:
        """What changes whenever the access token does."""
        return self.grant_id, self.version

    @property
    def key(self) -> GrantKey | None:
        """The grant; ``None`` for a row of an earlier release."""
        if self.grant_id is None:
            return None
        return GrantKey(self.grant_id, self.kept_as, self.binding.user_id, self.subject)

    @sensitive_variables()
    def credential(self) -> UpstreamCredential:
        """Open the access token.

        Raises:
            SealBroken: It cannot be opened, or the grant is not the session's. The person has to sign in at the
                upstream again.
        """
        return UpstreamCredential(
            self.binding.provider,
            self.subject,
            get_cipher().open(self.access_token, self._access_place()),
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
        cipher = get_cipher()
        key = self.checked()
        tokens = {name: getattr(self, name) for name in TOKEN_FIELDS}
        for column in SEALED_COLUMNS:
            if tokens[column]:
                tokens[column] = cipher.open(tokens[column], self._place(key, column))
        return UpstreamBundle(
            **tokens,
            **self.binding._asdict(),
            subject=self.subject,
            version=self.version,
            is_dead=self.is_dead,
        )

    def checked(self) -> GrantKey | None:
        """Return :attr:`key` if the ticket of the session is for it.

        Raises:
            SealBroken: It is not.
        """
        key = self.key
        if key is not None:
            check_ticket(self.ticket, self.binding.session_id, self.binding.provider, key)
        return key

    def _access_place(self) -> Place:
        key = self.key
        if key is None:
            return self._place(None, "access_token")
        return check_ticket(self.ticket, self.binding.session_id, self.binding.provider, key)

    def _place(self, key: GrantKey | None, column: str) -> Place:
        if key is None or column not in GRANT_COLUMNS:
            return place_of(self.binding.session_id, self.binding.provider, column)
        return key.place(column)


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
    parameters = {
        "session": prepare_session(session_id, connection),
        "provider": provider,
        "user": user_id if type(user_id) is int else prepare_user(user_id, connection),
        "client": client_id if type(client_id) is int else prepare_client(client_id, connection),
    }
    with connection.cursor() as cursor:
        cursor.execute(_select(connection.alias), parameters)
        row = cursor.fetchone()
    if row is None:
        raise BundleNotFound
    return _bundle(binding, row, connection)


def _bundle(binding: Binding, row: tuple[Any, ...], connection: BaseDatabaseWrapper) -> StoredBundle:
    pk, subject, grant, kept_as, ticket, id_token, was_dead, state, *shared = row
    access, refresh, kind, scope, expires, refresh_expires, version, lease = shared
    # By position: with names it takes three times as long.
    return StoredBundle(
        binding,
        pk,
        subject,
        _uuid(grant) if isinstance(grant, str) else grant,
        kept_as or "",
        ticket or "",
        access,
        refresh,
        id_token,
        kind,
        scope,
        _aware(expires, connection) if expires is not None else None,
        _aware(refresh_expires, connection) if refresh_expires is not None else None,
        bool(was_dead) if state is None else state != GrantState.LIVE,
        version,
        _aware(lease, connection) if lease is not None else None,
    )


#: SQLite and MySQL give a text. A session reads the same one each time.
_uuid = lru_cache(maxsize=TICKETS)(UUID)


@sensitive_variables()
def stored_of(row: UpstreamToken) -> StoredBundle:
    """Return what :func:`read` returns, of a row that was loaded with its grant."""
    holder: UpstreamToken | UpstreamGrant = row.grant or row
    return StoredBundle(
        binding=Binding(row.session_id, row.provider, row.user_id, row.client_id),
        pk=row.pk,
        subject=row.subject,
        grant_id=row.grant_id,
        kept_as="" if row.grant is None else row.grant.provider,
        ticket=row.ticket or "",
        id_token=row.id_token,
        is_dead=row.is_dead if row.grant is None else row.grant.state != GrantState.LIVE,
        version=holder.version,
        leased_until=holder.lease_until,
        **{name: getattr(holder, name) for name in TOKEN_FIELDS if name != "id_token"},
    )


@cache
def _select(alias: str) -> str:
    meta: Any = UpstreamToken._meta
    grants: Any = UpstreamGrant._meta
    quote = connections[alias].ops.quote_name

    def own(name: str) -> str:
        return f"t.{quote(meta.get_field(name).column)}"

    def granted(name: str) -> str:
        return f"g.{quote(grants.get_field(name).column)}"

    session, provider, user, client = map(own, BINDING_COLUMNS)
    columns = ", ".join(
        [
            *map(own, ("id", "subject")),
            granted("id"),
            granted("provider"),
            *map(own, ("ticket", "id_token", "is_dead")),
            granted("state"),
            *(f"COALESCE({granted(name)}, {own(name)})" for name in SHARED_COLUMNS),
        ]
    )
    # The unique key finds the row. User and client are compared in an IS TRUE, so that no planner considers their
    # indexes, which it would do on each call. The parameters have names, because Django looks for "%s" with a regular
    # expression on SQLite, at each character and on each call.
    return (
        f"SELECT {columns} FROM {quote(meta.db_table)} t"  # noqa: S608 - names of our own tables, no value
        f" LEFT JOIN {quote(grants.db_table)} g ON {granted('id')} = {own('grant')}"
        f" WHERE {session} = %(session)s AND {provider} = %(provider)s"
        f" AND ({user} = %(user)s AND {client} = %(client)s) IS TRUE"
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
