"""What a source of legacy rows is, and what a row is: the contract between the origins and the migration."""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import router
from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_lazyauth.models.fields import PROVIDER_LENGTH, client_model
from django_lazyauth.providers.base import Identity
from django_lazyauth.vault.tokens import UpstreamTokens

from .names import Names
from .report import Problem, Reason

#: Characters of what one token may have; what is longer is no token that anybody hands out.
MAX_TOKEN: Final = 128 * 1024
MAX_SUBJECT: Final = 255
MAX_TOKEN_TYPE: Final = 32


class Models(NamedTuple):
    """The models, as they are now or as they were at a migration, and the database that they are in."""

    legacy: type[Model]
    bundle: type[Model]
    identity: type[Model]
    user: type[Model]
    client: type[Model]
    using: str

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
        )


@dataclass(frozen=True, slots=True, repr=False)
class LegacyRow:
    """A row as its source has it. It has no repr: that would show who it is of.

    Attributes:
        key: What names the row there; only its digest is told.
        handle: By which the source retires it.
        provider_id: As written there.
        user_id, client_id: Primary keys here; whether the user exists is looked up later.
        tokens: ``None`` where the row is an identity only.
        identity: What to link, where the source says who people are; its provider is filled in later.
        retain_until: ``None``: as long as a new bundle.
        issuer: Who vouched for the person, where it is known.
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


class Source(ABC):
    """Where legacy rows come from.

    Handles are read in pages outside any transaction, rows when they are moved. Only what was read back is
    retired.
    """

    name: ClassVar[str]
    #: Whether rows are in our database: then reading, writing, reading back and retiring are one transaction.
    is_local: ClassVar[bool] = True

    def __init__(self, models: Models) -> None:
        self.models = models

    @abstractmethod
    def names(self, chosen: str | None) -> Names:
        """Return how provider ids here become logical names."""

    @abstractmethod
    def total(self) -> int | None:
        """Return what :meth:`pages` will count up to, ``None`` where nobody knows."""

    @abstractmethod
    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        """Yield handles, at most *size* at once, and how far that page takes us towards the total."""

    @abstractmethod
    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        """Return the rows that are still there; one that makes no sense becomes a problem."""

    @abstractmethod
    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        """Take rows away that are in the vault; return those that have changed since they were read."""

    def unclaimed(self) -> int:
        """Return how many rows :meth:`pages` passes over."""
        return 0

    def remaining(self) -> int | None:
        """Return how many rows wait after the run."""
        return None

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections."""


# -- reading values that anybody may have written ------------------------------------------------------------


class Malformed(ValueError):
    """A value cannot be what it stands for."""


def text(value: Any, *, limit: int) -> str:
    """Return a text that a database can keep; nothing is an empty one.

    Raises:
        Malformed: It is no text, too long, or has NUL bytes or lone surrogates.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > limit or "\x00" in value:
        raise Malformed
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed from None
    return value


def scope(value: Any) -> str:
    """Return scopes as OAuth writes them (RFC 6749 §3.3). Nothing is added to what was granted (I20)."""
    if isinstance(value, (list, tuple)):
        value = " ".join(text(item, limit=MAX_TOKEN) for item in value)
    return text(value, limit=MAX_TOKEN)


def moment(value: Any) -> datetime | None:
    """Return an aware time out of seconds since 1970 or an ISO 8601 text; zero and nothing are ``None``."""
    if value in (None, "", 0):
        return None
    try:
        if isinstance(value, str) and not value.isdigit():
            parsed = parse_datetime(value)
            if parsed is None:
                raise Malformed
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise Malformed
        return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        raise Malformed from None


def aware(value: datetime | None) -> datetime | None:
    return timezone.make_aware(value) if value is not None and timezone.is_naive(value) else value


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
    """Return *tokens* as the vault can keep them.

    Raises:
        Malformed: Something cannot be kept.
    """
    return UpstreamTokens(
        text(tokens.access_token, limit=MAX_TOKEN),
        text(tokens.refresh_token, limit=MAX_TOKEN),
        text(tokens.id_token, limit=MAX_TOKEN),
        text(tokens.token_type, limit=MAX_TOKEN_TYPE) or "Bearer",
        text(tokens.scope, limit=MAX_TOKEN),
        aware(tokens.expires_at),
        aware(tokens.refresh_expires_at),
    )


def provider_id(value: Any) -> str:
    return text(value, limit=PROVIDER_LENGTH)


def told_by(id_token: str) -> tuple[str, str]:
    """Return issuer and subject that an ID token names, unverified: it was checked when it was stored.

    Empty for what is no JWT. Good for refusing a row that belongs to another provider, and for no more.
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


def malformed(key: str) -> Problem:
    return Problem.of(key, Reason.MALFORMED)
