"""Keys ``{prefix}upstream:{session id}`` of a Redis server, with JSON values.

A session index (``{prefix}upstream:idx:{session id}``) and a reverse index (``{prefix}user:upstream:{user id}``) are
sets of keys. The vault has columns instead. A moved key is removed from both.

ToolHive writes the same keys, with sessions and users of its own, and identities under ``{prefix}provider:…``. Such a
session gets an id of ours, the same in every run. Its tokens belong to the user who has that identity here.

Other processes may write to Redis meanwhile, so a key is deleted only if its value is still the one that was read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Final
from uuid import NAMESPACE_URL, uuid5

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.legacy.names import TypeNames
from django_lazyauth.legacy.report import Problem, Reason
from django_lazyauth.legacy.source import (
    MAX_SUBJECT,
    MAX_TOKEN,
    LegacyRow,
    Malformed,
    Models,
    Source,
    moment,
    provider_id,
    scope,
    text,
)
from django_lazyauth.providers.base import Identity
from django_lazyauth.toolkit.clients import app_client
from django_lazyauth.vault.tokens import UpstreamTokens

from .redis_server import connect

#: The kinds of keys.
UPSTREAM: Final = "upstream"
PROVIDER: Final = "provider"
#: A session id of ToolHive (Go's ``rand.Text``), or a ULID. Ours are UUIDs.
FOREIGN_SESSION: Final = re.compile("[0-9A-Z]{26}")
#: Maximum characters of a value. No bundle is longer.
MAX_VALUE: Final = 1024 * 1024
MAX_ID: Final = 255
#: Milliseconds: 100 years. An end after the calendar's cannot be stored.
LONGEST_TTL: Final = 100 * 365 * 24 * 3600 * 1000


class RedisSource(Source):
    """The keys of an earlier deployment in one Redis database."""

    name: ClassVar[str] = "redis"
    is_local: ClassVar[bool] = False

    @sensitive_variables()
    def __init__(
        self, models: Models, *, url: str, prefix: str = "", prune: bool = False, dry_run: bool = False
    ) -> None:
        super().__init__(models)
        self._server = connect(url)
        self._prefix, self._prune, self._is_dry_run = prefix, prune, dry_run
        self._newer = 0

    def names(self, chosen: str | None) -> TypeNames:
        return TypeNames(chosen)

    def total(self) -> int:
        """Return the number of keys that SCAN visits: all of them, for each kind."""
        return 2 * self._server.count()

    def kinds(self, size: int) -> Iterator[Iterator[tuple[Sequence[Any], int]]]:
        # Identities first: a token of another system's user belongs to the owner of that identity.
        yield self._pages(PROVIDER, size)
        yield self.pages(size)

    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        return self._pages(UPSTREAM, size)

    def _pages(self, kind: str, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        start, seen = f"{self._prefix}{kind}:".encode(), 0
        found: dict[bytes, None] = {}
        for keys in self._server.scan(_escaped(start) + b"*", size):
            seen += size
            # SCAN may give a key twice.
            found |= dict.fromkeys(key for key in keys if self._is_ours(kind, key[len(start) :]))
            while len(found) >= size:
                page = list(found)[:size]
                for key in page:
                    del found[key]
                yield page, seen
                seen = 0
        if found:
            yield list(found), seen

    def _is_ours(self, kind: str, rest: bytes) -> bool:
        if kind == PROVIDER or b":" not in rest:
            return True
        # An index of sessions, or a key of the newer format: upstream:<session>:<provider>.
        self._newer += not rest.startswith(b"idx:")
        return False

    def newer(self) -> int:
        return self._newer

    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        now = timezone.now()
        rows = []
        for key, (value, milliseconds) in zip(handles, self._server.read(handles), strict=True):
            if value is None and milliseconds == -2:
                continue  # The key expired since the scan.
            left = timedelta(milliseconds=min(milliseconds, LONGEST_TTL))
            retain_until = now + left if milliseconds >= 0 else None
            row = self._row(key, value, retain_until)
            if row is not None:
                rows.append(row)
        return self._with_clients(rows)

    def _row(self, key: bytes, value: bytes | None, retain_until: Any) -> LegacyRow | Problem | None:
        name = key.decode("utf-8", "surrogateescape")
        if value is None:
            return Problem.of(name, Reason.NOT_TEXT)
        if len(value) > MAX_VALUE:
            return Problem.of(name, Reason.MALFORMED)
        try:
            data = json.loads(value)
        except (ValueError, RecursionError):
            return Problem.of(name, Reason.NOT_JSON)
        if data is None:
            return None  # A sign-out left it. It holds nothing and expires.
        if not isinstance(data, dict):
            return Problem.of(name, Reason.MALFORMED)
        try:
            handle = key, hashlib.sha1(value, usedforsecurity=False).hexdigest(), _id(data.get("user_id"))
            if name.startswith(f"{self._prefix}{PROVIDER}:"):
                return self._identity(name, handle, data)
            return self._bundle(name, handle, data, retain_until)
        except Malformed:
            return Problem.of(name, Reason.MALFORMED)

    def _bundle(
        self, name: str, handle: tuple[bytes, str, str], data: dict[str, Any], retain_until: Any
    ) -> LegacyRow:
        session = name.rpartition(":")[2]
        is_foreign = FOREIGN_SESSION.fullmatch(session) is not None
        return LegacyRow(
            key=name,
            handle=handle,
            provider_id=provider_id(_first(data, "provider_id", "provider")),
            user_id=self._user_key(data.get("user_id")),
            session=str(uuid5(NAMESPACE_URL, f"lazyauth:{self.name}:{session}")) if is_foreign else session,
            client_id=_id(data.get("client_id")),
            subject=text(_first(data, "upstream_subject", "subject"), limit=MAX_SUBJECT),
            tokens=_tokens(data),
            retain_until=retain_until,
            is_foreign=is_foreign,
        )

    def _identity(self, name: str, handle: tuple[bytes, str, str], data: dict[str, Any]) -> LegacyRow:
        subject = text(_first(data, "provider_subject", "subject"), limit=MAX_SUBJECT)
        if not subject:
            raise Malformed
        return LegacyRow(
            key=name,
            handle=handle,
            provider_id=provider_id(_first(data, "provider_id", "provider")),
            user_id=self._user_key(data.get("user_id")),
            subject=subject,
            identity=Identity(provider="", subject=subject),
            is_foreign=True,
        )

    def _user_key(self, value: Any) -> Any:
        """Return *value* as a primary key of the user model; ``None`` if it cannot be one."""
        try:
            return self.models.user._meta.pk.clean(_id(value), None)
        except ValidationError:
            return None

    def _with_clients(self, rows: list[LegacyRow | Problem]) -> list[LegacyRow | Problem]:
        """Replace client ids by primary keys. One query."""
        wanted = {row.client_id for row in rows if isinstance(row, LegacyRow) and row.client_id}
        clients = self.models.client._default_manager.using(self.models.using)
        known = dict(clients.filter(client_id__in=wanted).values_list("client_id", "pk")) if wanted else {}
        return [
            replace(row, client_id=known.get(row.client_id, self._client_for(row)))
            if isinstance(row, LegacyRow)
            else row
            for row in rows
        ]

    def _client_for(self, row: LegacyRow) -> Any:
        """Return the client of a session of another system: none of its clients is known here."""
        return self._foreign_client if row.is_foreign and row.tokens is not None else None

    @cached_property
    def _foreign_client(self) -> Any:
        client = app_client("moved-from-redis", name="Moved from Redis", make=not self._is_dry_run)
        # A dry run writes no client, so there may be no key yet.
        return client.pk if client is not None else 0

    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        # Identities stay for the code of before, until they are pruned.
        rows = [row for row in rows if self._prune or row.tokens is not None]
        if not rows:
            return []
        done = self._server.delete_unchanged([row.handle[:2] for row in rows])
        gone = [row.handle for row, is_gone in zip(rows, done, strict=True) if is_gone]
        self._server.forget([one for key, _, user_id in gone for one in self._indexes(key, user_id)])
        return [row for row, is_gone in zip(rows, done, strict=True) if not is_gone]

    def _indexes(self, key: bytes, user_id: str) -> Iterator[tuple[str, bytes]]:
        """Yield the sets that hold *key*, each with the key."""
        name = key.decode("utf-8", "surrogateescape").removeprefix(self._prefix)
        kind, _, rest = name.partition(":")
        if kind == UPSTREAM:
            yield f"{self._prefix}upstream:idx:{rest}", key
        if user_id:
            reverse = "user:upstream" if kind == UPSTREAM else "user:providers"
            yield f"{self._prefix}{reverse}:{user_id}", key

    def close(self) -> None:
        self._server.close()


def _escaped(start: bytes) -> bytes:
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\^-" else bytes([byte]) for byte in start)


def _first(data: dict[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _id(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return text(value, limit=MAX_ID)


def _tokens(data: dict[str, Any]) -> UpstreamTokens:
    return UpstreamTokens(
        text(data.get("access_token"), limit=MAX_TOKEN),
        text(data.get("refresh_token"), limit=MAX_TOKEN),
        text(data.get("id_token"), limit=MAX_TOKEN),
        text(data.get("token_type"), limit=MAX_TOKEN),
        scope(_first(data, "scope", "scopes")),
        moment(_first(data, "expires_at", "expiry")),
        moment(data.get("refresh_expires_at")),
    )
