"""What several models share: time-ordered ids, digests, the foreign key to a client."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _CharField = models.CharField[Any, str]
else:
    _CharField = models.CharField

#: Characters of a provider's logical name: ``sso:`` and a domain of 253.
PROVIDER_LENGTH = 257


def uuid7() -> UUID:
    """Return a time-ordered random UUID (RFC 9562 §5.7).

    With random keys PostgreSQL writes seven times the log once the index outgrows its cache.
    """
    return uuid7_of(time.time_ns() // 1_000_000, secrets.token_bytes(10))


def uuid7_of(milliseconds: int, random: bytes) -> UUID:
    """Return the UUID of a time since 1970 and 80 random bits. Six of them make room for version and variant."""
    bits = int.from_bytes(random, "big")
    value = (milliseconds << 80) | (7 << 76) | (bits >> 68 << 64) | (2 << 62) | (bits & (1 << 62) - 1)
    return UUID(int=value)


def digest(secret: str) -> str:
    """Return the SHA-256 of a random secret in hex. Codes, states and bindings are stored this way.

    Every such secret has at least 128 random bits, so it needs no salt and no stretching.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def bound_digest(token: str) -> str:
    """Return the SHA-256 that stands in the row of an access token which is bound to a key (RFC 9449).

    It is not the digest of any text: 0xFF is no byte of UTF-8. So whoever looks up a bearer token finds no bound one,
    by whatever code of django-oauth-toolkit or of the host.
    """
    return hashlib.sha256(b"\xff" + token.encode()).hexdigest()


def client_model() -> str:
    """Return the label of django-oauth-toolkit's client model, which a host may swap."""
    return getattr(settings, "OAUTH2_PROVIDER_APPLICATION_MODEL", "oauth2_provider.Application")


def client_key(**kwargs: Any) -> models.ForeignKey[Any, Any]:
    """Return a foreign key to the OAuth client. The row is deleted with the client.

    It is not ``swappable``: Django would write the setting's name into migrations, and every host had to set it.
    """
    return models.ForeignKey(
        client_model(), on_delete=models.CASCADE, related_name="+", swappable=False, **kwargs
    )


class ExactCharField(_CharField):
    """Text in which ``Abc``, ``abc`` and ``abc `` are three values, on every database.

    By default MySQL and MariaDB ignore case, accents and trailing spaces. Two subjects of a provider would then be
    one person (I5).
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            is_mariadb = getattr(connection, "mysql_is_mariadb", False)
            parameters["collation"] = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
        return parameters


def cascade_at_once(collector: Any, field: Any, sub_objs: Any, using: str) -> None:
    """Delete referencing rows as ``CASCADE`` does, without setting their key to NULL first.

    On MySQL and MariaDB, which cannot defer constraints, Django sets a nullable key to NULL before the deletion. A
    check constraint of the row may forbid NULL in its present status.
    """
    collector.collect(
        sub_objs,
        source=field.remote_field.model,
        source_attr=field.name,
        nullable=False,
        fail_on_restricted=False,
    )
