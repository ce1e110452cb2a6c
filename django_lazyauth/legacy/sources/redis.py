"""Keys ``{prefix}upstream:{session id}`` of a Redis server, with JSON values.

A session index (``{prefix}upstream:idx:{session id}``) and a reverse index (``{prefix}user:upstream:{user id}``) are
sets of keys. The vault has columns instead. A moved key is removed from both.

Other processes may write to Redis meanwhile, so a key is deleted only if its value is still the one that was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.core.exceptions import ValidationError
from django.utils import timezone

from django_lazyauth.legacy.names import TypeNames
from django_lazyauth.legacy.report import MigrationStopped, Problem, Reason
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
from django_lazyauth.vault.tokens import UpstreamTokens

#: Maximum seconds of one answer of the server.
TIMEOUT: Final = 30.0
#: Maximum characters of a value. No bundle is longer.
MAX_VALUE: Final = 1024 * 1024
MAX_ID: Final = 255
#: Milliseconds: 100 years. An end after the calendar's cannot be stored.
LONGEST_TTL: Final = 100 * 365 * 24 * 3600 * 1000

#: KEYS: keys. ARGV: SHA-1 of the value that was read. Deletes the keys whose value has it. Answers 1 or 0 for each; a
#: missing key counts as deleted.
DELETE_UNCHANGED: Final = """
local done = {}
for place, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if not value then
    done[place] = 1
  elseif redis.sha1hex(value) == ARGV[place] then
    done[place] = redis.call('UNLINK', key)
  else
    done[place] = 0
  end
end
return done
"""


class RedisSource(Source):
    """The keys of an earlier deployment in one Redis database."""

    name: ClassVar[str] = "redis"
    is_local: ClassVar[bool] = False

    def __init__(self, models: Models, *, url: str, prefix: str = "") -> None:
        super().__init__(models)
        try:
            import redis
        except ImportError:
            raise MigrationStopped("--source redis needs the redis package.") from None
        self._error = redis.RedisError
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=False
            )
        except ValueError:  # The text of the error holds the URL and its password.
            raise MigrationStopped("--url is no URL of a Redis server.") from None
        self._prefix = prefix

    def names(self, chosen: str | None) -> TypeNames:
        return TypeNames(chosen)

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError) as error:
            raise MigrationStopped(f"Redis does not answer as it should: {type(error).__name__}.") from None

    def total(self) -> int:
        """Return the number of all keys: SCAN visits every key."""
        with self._connection_errors():
            return int(self._redis.dbsize())

    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        start = f"{self._prefix}upstream:".encode()
        pattern, cursor, seen = _escaped(start) + b"*", 0, 0
        found: dict[bytes, None] = {}
        while True:
            with self._connection_errors():
                cursor, keys = self._redis.scan(cursor, match=pattern, count=size)
            seen += size
            # A key with another colon is an index, or has the new format.
            found |= {key: None for key in keys if isinstance(key, bytes) and b":" not in key[len(start) :]}
            while len(found) >= size or (found and not cursor):
                page = list(found)[:size]
                for key in page:
                    del found[key]
                yield page, seen
                seen = 0
            if not cursor:
                return

    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        with self._connection_errors():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.mget(handles)
            for key in handles:
                pipeline.pttl(key)
            values, *ends = pipeline.execute()
        now = timezone.now()
        rows = []
        for key, value, milliseconds in zip(handles, values, ends, strict=True):
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
            return LegacyRow(
                key=name,
                handle=(
                    key,
                    hashlib.sha1(value, usedforsecurity=False).hexdigest(),
                    _id(data.get("user_id")),
                ),
                provider_id=provider_id(_first(data, "provider_id", "provider")),
                user_id=self._user_key(data.get("user_id")),
                session=name.rpartition(":")[2],
                client_id=_id(data.get("client_id")),
                subject=text(_first(data, "upstream_subject", "subject"), limit=MAX_SUBJECT),
                tokens=_tokens(data),
                retain_until=retain_until,
            )
        except Malformed:
            return Problem.of(name, Reason.MALFORMED)

    def _user_key(self, value: Any) -> Any:
        """Return *value* as a primary key of the user model; ``None`` if it cannot be one."""
        try:
            return self.models.user._meta.pk.clean(_id(value), None)
        except ValidationError:
            return None

    def _with_clients(self, rows: list[LegacyRow | Problem]) -> list[LegacyRow | Problem]:
        """Replace client ids by primary keys. One query."""
        wanted = {row.client_id for row in rows if isinstance(row, LegacyRow)}
        clients = self.models.client._default_manager.using(self.models.using)
        known = dict(clients.filter(client_id__in=wanted).values_list("client_id", "pk")) if wanted else {}
        return [
            replace(row, client_id=known.get(row.client_id)) if isinstance(row, LegacyRow) else row
            for row in rows
        ]

    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        if not rows:
            return []
        keys = [row.handle[0] for row in rows]
        digests = [row.handle[1] for row in rows]
        with self._connection_errors():
            done = self._redis.eval(DELETE_UNCHANGED, len(keys), *keys, *digests)
            pipeline = self._redis.pipeline(transaction=False)
            for row, is_gone in zip(rows, done, strict=True):
                if is_gone:
                    key, _, user_id = row.handle
                    pipeline.srem(f"{self._prefix}upstream:idx:{row.session}", key)
                    if user_id:
                        pipeline.srem(f"{self._prefix}user:upstream:{user_id}", key)
            # A key that is no set is not an index; its error is ignored.
            pipeline.execute(raise_on_error=False)
        return [row for row, is_gone in zip(rows, done, strict=True) if not is_gone]

    def close(self) -> None:
        self._redis.close()


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
