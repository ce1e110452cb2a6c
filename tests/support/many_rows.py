"""A site with many live sessions, written by SQL in seconds. PostgreSQL only.

Each person has one identity, one session with all of its tokens, a sealed upstream bundle, a consent, a kept answer of
the flow and one of the last refresh, and a logout that was delivered. There is a registered client for each person,
too; the sessions are all of one client. They began two to ten days ago, and the sweep has seen them. Nothing has
expired except access and ID tokens, as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import BooleanField, DateTimeField, IntegerField, JSONField, Model
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_id_token_model,
    get_refresh_token_model,
)

from django_lazyauth.models import (
    ClientRegistration,
    Consent,
    FlowAnswer,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    SealedSuccessor,
    UpstreamGrant,
    UpstreamToken,
)

#: Begins at this primary key, so that rows of the tests and these do not meet.
FIRST = 1_000_000
#: Milliseconds between the first session and the last.
SPAN = 8 * 24 * 3600 * 1000
#: When the session of person n began, in milliseconds of the epoch.
BEGAN_MS = "(%(first)s + n * (%(span)s / %(count)s))"
BEGAN = f"to_timestamp({BEGAN_MS} / 1000.0)"
#: The session of person n: as ordered in time as the real ones (UUIDv7).
SESSION = f"(lpad(to_hex({BEGAN_MS}), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid"
NETWORK = "'198.51.' || (n %% 250) || '.0/24'"
#: About as long as a real token.
TOKEN = "repeat(md5(n::text || {salt!r}), 24)"
REFRESH_TOKEN = "'refresh-' || n"


@dataclass(frozen=True)
class Filled:
    """How many people there are, and how the n-th can be found.

    Attributes:
        first: When their sessions began to begin, in milliseconds of the epoch.
    """

    count: int
    first: int = field(default_factory=lambda: int((time() - 10 * 24 * 3600) * 1000))

    @property
    def _parameters(self) -> dict[str, int]:
        return {"count": self.count, "first": self.first, "span": SPAN}

    def primary_key(self, number: int) -> int:
        return FIRST + number

    def refresh_token(self, number: int) -> str:
        return f"refresh-{number}"

    def session_id(self, number: int) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {SESSION} FROM (SELECT %(number)s::bigint AS n) one",
                {**self._parameters, "number": number},
            )
            return cursor.fetchone()[0]

    def insert(self, model: type[Model], given: dict[str, str]) -> None:
        """Write a row of *model* for each person. *given* holds the SQL of columns that need a value of their own."""
        columns = {
            field.column: given.get(field.attname) or _blank(field) for field in model._meta.concrete_fields
        }
        names, values = ", ".join(f'"{name}"' for name in columns), ", ".join(columns.values())
        table = model._meta.db_table
        sql = f'INSERT INTO "{table}" ({names}) SELECT {values} FROM generate_series(1, %(count)s) n'
        with connection.cursor() as cursor:
            cursor.execute(sql, self._parameters)


def models() -> list[type[Model]]:
    """Return the models of the rows, each after those that it refers to."""
    return [
        get_user_model(),
        get_application_model(),
        ClientRegistration,
        ProviderIdentity,
        PendingAuthorization,
        get_id_token_model(),
        get_access_token_model(),
        get_refresh_token_model(),
        UpstreamGrant,
        UpstreamToken,
        Consent,
        FlowAnswer,
        SealedSuccessor,
        LogoutDelivery,
    ]


def fill(count: int, *, application: Any) -> Filled:
    """Write *count* people with a live session at *application* each, and gather statistics."""
    filled, key, client = Filled(count), f"{FIRST} + n", str(application.pk)
    expressions: dict[type[Model], dict[str, str]] = {
        get_user_model(): {"id": key, "username": "'person-' || n", "is_active": "true", "password": "'!'"},
        get_application_model(): {
            "id": key,
            "client_id": "'client-' || n",
            "name": "'Client ' || n",
            "client_type": "'public'",
            "authorization_grant_type": "'authorization-code'",
            "redirect_uris": "'https://client.example/cb'",
            "registration_source": "'dcr'",
            "created": BEGAN,
        },
        ClientRegistration: {
            "id": key,
            "client_id": key,
            "source": "'open'",
            "metadata": "'{}'",
            "token_digest": "md5(n::text) || md5('t' || n)",
            "version": "1",
            "network": NETWORK,
            "last_used_at": BEGAN,
        },
        ProviderIdentity: {"id": key, "user_id": key, "provider": "'demo'", "subject": "'subject-' || n"},
        PendingAuthorization: {
            "session_id": SESSION,
            "status": "'exchanged'",
            "client_id": client,
            "redirect_uri": "'https://client.example/cb'",
            "scope": "'openid'",
            "code_challenge": "md5(n::text)",
            "binding_digest": "md5(n::text) || md5('b' || n)",
            "network": NETWORK,
            "provider": "'demo'",
            "user_id": key,
            "auth_time": BEGAN,
            "consented_at": BEGAN,
            "code_digest": "md5(n::text) || md5('c' || n)",
            "code_expires_at": BEGAN,
            "exchanged_at": BEGAN,
            "resumed_at": BEGAN,
            "is_deferred": "true",
            "created_at": BEGAN,
            "expires_at": f"{BEGAN} + interval '14 days'",
        },
        get_id_token_model(): {
            "id": key,
            "user_id": key,
            "application_id": client,
            "jti": "md5('jti' || n)::uuid",
            "expires": BEGAN,
            "created": BEGAN,
        },
        get_access_token_model(): {
            "id": key,
            "user_id": key,
            "application_id": client,
            "id_token_id": key,
            "token": TOKEN.format(salt="access"),
            "token_checksum": "md5(n::text) || md5('a' || n)",
            "scope": "'openid'",
            "expires": BEGAN,
            "created": BEGAN,
        },
        get_refresh_token_model(): {
            "id": key,
            "user_id": key,
            "application_id": client,
            "access_token_id": key,
            "token": REFRESH_TOKEN,
            "token_checksum": f"encode(sha256(convert_to({REFRESH_TOKEN}, 'UTF8')), 'hex')",
            "token_family": SESSION,
            "created": BEGAN,
        },
        UpstreamGrant: {
            "id": SESSION,
            "user_id": key,
            "provider": "'demo'",
            "subject": "'subject-' || n",
            "scope_digest": "md5('') || md5('')",
            "state": "'live'",
            "access_token": TOKEN.format(salt="upstream"),
            "version": "1",
            "expires_at": "now() + interval '1 day'",
        },
        UpstreamToken: {
            "id": key,
            "session_id": SESSION,
            "provider": "'demo'",
            "user_id": key,
            "client_id": client,
            "subject": "'subject-' || n",
            "grant_id": SESSION,
            "ticket": "repeat(md5(n::text), 5)",
            "retain_until": "now() + interval '20 days'",
        },
        Consent: {"id": key, "user_id": key, "client_id": client, "resources_digest": "md5('')"},
        FlowAnswer: {
            "id": key,
            "pending_id": SESSION,
            "request_digest": "md5(n::text) || md5('f' || n)",
            "sealed": "repeat(md5(n::text), 10)",
            "claimed_at": "now() + interval '1 day'",
            "answered_at": "now()",
        },
        LogoutDelivery: {
            "id": key,
            "session_id": "md5('over' || n)::uuid",
            "client_id": client,
            "subject": key,
            "state": "'delivered'",
            "attempts": "1",
        },
        SealedSuccessor: {
            "id": key,
            "token_digest": "md5(n::text) || md5('s' || n)",
            "family": SESSION,
            "sealed": TOKEN.format(salt="answer"),
            "expires_at": "now() + interval '1 day'",
        },
    }
    with unchecked_keys():
        for model in models():
            filled.insert(model, expressions[model])
    vacuum()
    return filled


@contextmanager
def unchecked_keys() -> Iterator[None]:
    """Leave out the checks of foreign keys, which take longer than the rows. The rows are written in their order."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("SET session_replication_role = origin")


def _blank(field: Any) -> str:
    if field.null:
        return "NULL"
    if isinstance(field, BooleanField):
        return "false"
    if isinstance(field, DateTimeField):
        return "now()"
    if isinstance(field, JSONField):
        return "'[]'"
    if isinstance(field.default, str):
        return f"'{field.default}'"
    return "0" if isinstance(field, IntegerField) else "''"


def vacuum(*of: type[Model]) -> None:
    """Do what autovacuum does on a running site. Outside of a transaction."""
    with connection.cursor() as cursor:
        for model in of or models():
            cursor.execute(f'VACUUM ANALYZE "{model._meta.db_table}"')


def empty() -> None:
    """Delete every row, the tests' own included."""
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    # Otherwise the next tests read the pages of what was deleted, also where a file filled further tables.
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
