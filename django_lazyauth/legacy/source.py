"""What is a source of legacy rows, and what is a row? The contract between ``sources/`` and the migration."""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import router
from django.db.models import Case, F, Model, When

from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.kit.times import EARLIEST, LATEST, NoTime, read_time
from django_lazyauth.models.fields import PROVIDER_LENGTH, client_model
from django_lazyauth.providers.base import Identity
from django_lazyauth.vault.tokens import UpstreamTokens

from .names import Names
from .report import Problem

#: Maximum characters of one token. No provider issues longer ones.
MAX_TOKEN: Final = 128 * 1024
MAX_SUBJECT: Final = 255
MAX_TOKEN_TYPE: Final = 32


class Models(NamedTuple):
    """The models, of now or of a migration's state, and their database."""

    legacy: type[Model]
    bundle: type[Model]
    identity: type[Model]
    user: type[Model]
    client: type[Model]
    using: str
    #: The state of an early migration has no table of leases yet.
    has_leases: bool

    @classmethod
    def of(cls, apps: Apps = installed_apps, using: str | None = None) -> Models:
        bundle = apps.get_model("lazyauth", "UpstreamToken")
        return cls(
            apps.get_model("lazyauth", "LegacyUpstreamToken"),
            bundle,
            apps.get_model("lazyauth", "ProviderIdentity"),
            apps.get_model(settings.AUTH_USER_MODEL),
            apps.get_model(client_model()),
            using or router.db_for_write(bundle),
            "namedlease" in apps.all_models["lazyauth"],
        )


@dataclass(frozen=True, slots=True, repr=False)
class LegacyRow:
    """A row as its source has it. It has no repr, which would show personal data.

    Attributes:
        key: The name of the row in its source. The report shows only its digest.
        handle: Identifies the row when the source retires it.
        provider_id: The provider as the source stores it.
        user_id, client_id: Primary keys on this site. Whether the user exists is checked later.
        tokens: ``None`` for a row that is only an identity.
        identity: The identity to link, if the source has identities. Its provider is set later.
        retain_until: ``None`` for the retention of a new bundle.
        issuer: The issuer of the identity, if known.
        is_foreign: Session and user are those of another system. If the user is none of ours, the row belongs to
            the owner of the identity.
    """

    key: str
    handle: Any
    provider_id: str
    user_id: Any
    session: str = ""
    client_id: Any = None
    subject: str = ""
    tokens: UpstreamTokens | None = None
    identity: Identity | None = None
    retain_until: datetime | None = None
    issuer: str = ""
    is_foreign: bool = False


class Source(ABC):
    """Where legacy rows come from.

    Handles are read in pages outside any transaction. Rows are read when they are moved, and retired after they were
    read back from the vault.
    """

    name: ClassVar[str]
    #: Whether the rows are in our database. Then reading, writing, reading back and retiring are one transaction.
    is_local: ClassVar[bool] = True

    def __init__(self, models: Models) -> None:
        self.models = models

    @abstractmethod
    def names(self, chosen: str | None) -> Names:
        """Return the map from provider ids of this source to logical names."""

    @abstractmethod
    def total(self) -> int | None:
        """Return the total that :meth:`pages` counts to; ``None`` if it is unknown."""

    @abstractmethod
    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        """Yield pages of at most *size* handles, each with its share of the total."""

    def kinds(self, size: int) -> Iterator[Iterator[tuple[Sequence[Any], int]]]:
        """Yield the pages of each kind of row. A limit counts for each kind."""
        yield self.pages(size)

    @abstractmethod
    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        """Return the rows that still exist. A malformed row becomes a problem."""

    @abstractmethod
    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        """Remove rows that are in the vault. Return those that changed since they were read."""

    def unclaimed(self) -> int:
        """Return how many rows :meth:`pages` skipped."""
        return 0

    def newer(self) -> int:
        """Return how many rows of a newer format :meth:`pages` skipped."""
        return 0

    def remaining(self) -> int | None:
        """Return how many rows are left after the run."""
        return None

    def close(self) -> None:  # noqa: B027 - most sources have no connection
        """Close connections."""


# -- checked values ------------------------------------------------------------------------------------------


class Malformed(ValueError):
    """A value has the wrong type or cannot be stored."""


def text(value: Any, *, limit: int) -> str:
    """Return *value* as a text that a database can store; ``None`` becomes an empty text.

    Raises:
        Malformed: It is no text, is too long, or has NUL or lone surrogates.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > limit or has_bad_characters(value):
        raise Malformed
    return value


def scope(value: Any) -> str:
    """Return scopes as a ``scope`` value (RFC 6749 §3.3). No scope is added (I20)."""
    if isinstance(value, (list, tuple)):
        value = " ".join(text(item, limit=MAX_TOKEN) for item in value)
    return text(value, limit=MAX_TOKEN)


def moment(value: Any) -> datetime | None:
    """Return an aware time from seconds since 1970 or an ISO 8601 text; ``None`` if it is unknown.

    Raises:
        Malformed: It is something else.
    """
    try:
        return read_time(value)
    except NoTime:
        raise Malformed from None


def known(column: str) -> Case:
    """Return a time of the database, or NULL where it is none. Drivers cannot read PostgreSQL's infinity."""
    return Case(When(**{f"{column}__gt": EARLIEST, f"{column}__lt": LATEST}, then=F(column)))


def session_uuid(value: str) -> UUID:
    """
    Raises:
        Malformed: It is no UUID.
    """
    try:
        return UUID(value)
    except ValueError:
        raise Malformed from None


def checked_tokens(tokens: UpstreamTokens) -> UpstreamTokens:
    """Return *tokens* as the vault can store them.

    Raises:
        Malformed: A value cannot be stored.
    """
    return UpstreamTokens(
        text(tokens.access_token, limit=MAX_TOKEN),
        text(tokens.refresh_token, limit=MAX_TOKEN),
        text(tokens.id_token, limit=MAX_TOKEN),
        text(tokens.token_type, limit=MAX_TOKEN_TYPE) or "Bearer",
        text(tokens.scope, limit=MAX_TOKEN),
        tokens.expires_at,
        tokens.refresh_expires_at,
    )


def provider_id(value: Any) -> str:
    return text(value, limit=PROVIDER_LENGTH)


def unverified_identity(id_token: str) -> tuple[str, str]:
    """Return issuer and subject of an ID token without verifying it; empty if it is no JWT.

    The token was verified when it was stored. The result may only refuse a row of another provider.
    """
    parts = id_token.split(".")
    if len(parts) != 3:
        return "", ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issuer, subject = claims["iss"], claims["sub"]
    except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
        return "", ""
    return (issuer, subject) if isinstance(issuer, str) and isinstance(subject, str) else ("", "")
