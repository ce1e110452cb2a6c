"""A Redis or Valkey server: one by itself, behind Sentinel, or a Cluster. One URL names it.

Every class that talks to it is redis-py's own. The options in the query are those of redis-py.

- ``redis://``, ``rediss://`` (TLS), ``unix://``: one server.
- ``redis+sentinel://host:26379,host:26379/SERVICE/0``: the master that Sentinel names.
- ``redis+cluster://host:6379,host:6379``: a Cluster.

``valkey`` may stand for ``redis``, and the ``s`` for TLS works with each: ``rediss+sentinel://``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.legacy.report import MigrationStopped

redis: Any
try:
    redis = import_module("redis")
except ImportError:  # The package is an extra of ours. `connect` says so.
    redis = None

#: Maximum seconds of one answer of the server.
TIMEOUT: Final = 30.0
SENTINEL_PORT: Final = 26379
PORT: Final = 6379
#: Options that are for the Sentinels, and not for the server that they name.
SENTINEL_OPTIONS: Final = {"sentinel_username": "username", "sentinel_password": "password"}

_URL: Final = re.compile(
    r"(?P<kind>redis|valkey)(?P<tls>s?)(?:[+-](?P<topology>sentinel|cluster))?://(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)

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


@dataclass(frozen=True, slots=True, repr=False)
class Server:
    """A connected client of redis-py. It has no repr, which would show the password."""

    client: Any
    is_cluster: bool

    def count(self) -> int:
        """Return the number of all keys: SCAN visits every key."""
        with _one_line_errors():
            return int(self.client.dbsize())

    def scan(self, pattern: bytes, size: int) -> Iterator[list[Any]]:
        """Yield the keys of *pattern* as the server finds them, about *size* visited keys at a time."""
        nodes = self.client.get_primaries() if self.is_cluster else [None]
        for node in nodes:
            cursor, target = 0, {"target_nodes": node} if node else {}
            while True:
                with _one_line_errors():
                    answer, keys = self.client.scan(cursor, match=pattern, count=size, **target)
                yield keys
                cursor = answer[node.name] if node else answer
                if not cursor:
                    break

    def read(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, int]]:
        """Return value and milliseconds left of each key. A key without a text has no value."""
        with _one_line_errors():
            pipeline = self.client.pipeline(transaction=False)
            for key in keys:
                pipeline.get(key)
                pipeline.pttl(key)
            answers = pipeline.execute(raise_on_error=False)
        values = [_value(answer) for answer in answers]
        return list(zip(values[::2], values[1::2], strict=True))

    def delete_unchanged(self, digests: Sequence[tuple[bytes, str]]) -> list[bool]:
        """Delete each key whose value still has its SHA-1; say for each whether it is gone."""
        gone: dict[bytes, bool] = {}
        with _one_line_errors():
            for _, group in groupby(sorted(digests, key=self._slot), key=self._slot):
                keys, sums = zip(*group, strict=True)
                done = self.client.eval(DELETE_UNCHANGED, len(keys), *keys, *sums)
                gone |= {key: bool(one) for key, one in zip(keys, done, strict=True)}
        return [gone[key] for key, _ in digests]

    def forget(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Remove members from sets. A key that is no set is left alone."""
        with _one_line_errors():
            pipeline = self.client.pipeline(transaction=False)
            for name, member in members:
                pipeline.srem(name, member)
            pipeline.execute(raise_on_error=False)

    def close(self) -> None:
        self.client.close()

    def _slot(self, one: tuple[bytes, str]) -> int:
        """Return the slot of a key. A script of a Cluster may use keys of one slot only."""
        return int(self.client.keyslot(one[0])) if self.is_cluster else 0


def _value(answer: Any) -> Any:
    """Return an answer of a pipeline. That a key has another type is a fact about the key, and no failure."""
    if isinstance(answer, redis.ResponseError) and "WRONGTYPE" in str(answer):
        return None
    if isinstance(answer, Exception):
        raise MigrationStopped(f"Redis does not answer as it should: {type(answer).__name__}.")
    return answer


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        raise MigrationStopped(f"Redis does not answer as it should: {type(error).__name__}.") from None


@sensitive_variables()
def connect(url: str) -> Server:
    """Return a client for *url*. Messages show neither the URL nor an option: both may hold a password.

    Raises:
        MigrationStopped: It is no such URL, an option is unknown or wrong, or the server does not answer.
    """
    if redis is None:
        raise MigrationStopped("--source redis needs the redis package.")
    found = _URL.fullmatch(url)
    topology = (found["topology"] or "").lower() if found else ""
    try:
        if found is None or not topology:
            plain = url if found is None else f"redis{found['tls'].lower()}://{found['rest']}"
            return Server(redis.Redis(connection_pool=_pool(plain)), is_cluster=False)
        address = _Address.of(found["rest"], is_tls=bool(found["tls"]))
    except (ValueError, TypeError, redis.RedisError):
        raise MigrationStopped(
            "--url is no URL of a Redis server, or has options that redis-py does not know."
        ) from None
    return _behind_sentinel(address) if topology == "sentinel" else _cluster(address)


def _pool(url: str) -> Any:
    """Return the connections of one server. One is made, which notices unknown options, and not opened."""
    pool = redis.ConnectionPool.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
    pool.connection_kwargs["decode_responses"] = False
    pool.make_connection()
    return pool


@dataclass(frozen=True, slots=True, repr=False)
class _Address:
    """What a URL with several hosts says.

    Attributes:
        options: Keyword arguments of a connection, without host and port.
    """

    hosts: Sequence[tuple[str, int | None]]
    path: Sequence[str]
    is_tls: bool
    options: dict[str, Any]
    sentinel_options: dict[str, Any]

    @classmethod
    @sensitive_variables()
    def of(cls, rest: str, *, is_tls: bool) -> _Address:
        parts = urlsplit(f"redis://{rest}")
        user, at, hosts = parts.netloc.rpartition("@")
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        sentinel = {name: query.pop(option) for option, name in SENTINEL_OPTIONS.items() if option in query}
        scheme = "rediss" if is_tls else "redis"
        options = dict(_pool(f"{scheme}://{user}{at}localhost?{urlencode(query)}").connection_kwargs)
        for name in ("host", "port"):
            options.pop(name, None)
        if is_tls:
            options["ssl"] = True
        return cls(
            [_host(one) for one in hosts.split(",")],
            [part for part in parts.path.split("/") if part],
            is_tls,
            options,
            {name: value for name, value in options.items() if name.startswith(("ssl", "socket_"))}
            | sentinel,
        )


def _host(text: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port


@sensitive_variables()
def _behind_sentinel(address: _Address) -> Server:
    match list(address.path):
        case [service]:
            number = address.options.get("db", 0)
        case [service, digits] if digits.isascii() and digits.isdigit():
            number = int(digits)
        case _:
            raise MigrationStopped("--url names no service: redis+sentinel://HOST:26379/SERVICE/0.")
    hosts = [(host, port or SENTINEL_PORT) for host, port in address.hosts]
    with _one_line_errors():
        sentinel = redis.sentinel.Sentinel(
            hosts, sentinel_kwargs=address.sentinel_options, **address.options | {"db": number}
        )
        return Server(sentinel.master_for(service), is_cluster=False)


@sensitive_variables()
def _cluster(address: _Address) -> Server:
    if [part for part in address.path if part != "0"] or address.options.pop("db", 0):
        raise MigrationStopped("--url names a database: a Redis Cluster has number 0 only.")
    nodes = [redis.cluster.ClusterNode(host, port or PORT) for host, port in address.hosts]
    with _one_line_errors():
        return Server(redis.cluster.RedisCluster(startup_nodes=nodes, **address.options), is_cluster=True)
