"""Small pieces that several models share: time-ordered ids, digests, the client's foreign key."""

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

    Random keys make PostgreSQL write seven times the log once an index outgrows its cache; these do not.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return UUID(int=value)


def digest(secret: str) -> str:
    """Return the SHA-256 of a random secret in hex: what the database keeps of codes, states and bindings.

    No salt and no stretching: every secret digested here carries at least 128 random bits.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def client_model() -> str:
    """Return the label of the client model; swappable in django-oauth-toolkit, so never named directly."""
    return getattr(settings, "OAUTH2_PROVIDER_APPLICATION_MODEL", "oauth2_provider.Application")


def client_key(**kwargs: Any) -> models.ForeignKey[Any, Any]:
    """Return a foreign key to the OAuth client; what belongs to a client goes with it.

    Not ``swappable``: Django would write the setting's name into migrations and demand that every host sets it.
    """
    return models.ForeignKey(
        client_model(), on_delete=models.CASCADE, related_name="+", swappable=False, **kwargs
    )


class ExactCharField(_CharField):
    """Text in which ``Abc``, ``abc`` and ``abc `` are three values, on every database.

    MySQL and MariaDB compare without regard to case, accents and trailing spaces unless a column says otherwise:
    there two subjects of a provider would be one person (I5).
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            is_mariadb = getattr(connection, "mysql_is_mariadb", False)
            parameters["collation"] = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
        return parameters


def cascade_at_once(collector: Any, field: Any, sub_objs: Any, using: str) -> None:
    """Delete the rows that point to what goes, as ``CASCADE`` does, and never empty their key before.

    Django does that where a database cannot defer its checks (MySQL, MariaDB) and the key may be empty; but a row's
    own constraint may want it filled in the state that the row is in.
    """
    collector.collect(
        sub_objs,
        source=field.remote_field.model,
        source_attr=field.name,
        nullable=False,
        fail_on_restricted=False,
    )
