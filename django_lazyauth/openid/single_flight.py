"""Fetch a thing once, however many ask: the cache of what strangers' servers said.

The life of one entry, in the entry's own clock::

    flight lands       1 h                      2 h
    ├───── fresh ──────┼──────── stale ─────────┼──── gone ────
    peek:  Ready         Ready                    Pending, or Failed after a failure
    drive: nothing       starts a flight          starts a flight

    flight starts       lands (seconds)                120 s
    ├───── in the air ──┤                              ┊
    ├───── in the air, and its pilot was killed ───────┼─ abandoned: the next drive takes over,
                                                          and an answer that comes now is dropped

    1st failure   60 s   2nd failure    120 s    3rd failure     240 s …
    ├── left alone ──┤   ├── left alone ───┤     ├─── left alone ───┤    60 s × 2ⁿ, at most 1 h

:meth:`SingleFlight.peek` says what is there: it fetches nothing, starts nothing and changes no order.
:meth:`SingleFlight.drive` starts a flight where one is due and returns at once. Reads peek; writes drive, then
peek. An entry that fails while it is stale is served until it is gone.

All state is in Django's cache, so one flight is one flight across threads and processes. What follows a flight
is decided once, by whoever adds ``fate:<token>`` first: its pilot, who lands, or a successor, who takes over.
So two answers never meet, in whatever order they come. The locks of this process only spare the cache the
questions of threads that would all get the same answer.

Not here: what is fetched (:mod:`.discovery`), in which thread or worker (:mod:`.pilots`), and waiting.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from django.core.cache import cache

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit import background

from .results import Failed, Pending, Ready, Result

logger = logging.getLogger("django_lazyauth.openid")

#: Seconds. What was fetched is fresh, and after that served while it is fetched anew.
FRESH: Final = 3600
STALE: Final = 3600
#: Seconds after which the pilot of a flight is taken for dead; the fetches of one take 10 at most.
FLIGHT_LIMIT: Final = 120
#: Seconds. After the n-th failure in a row a source is left alone for 60 × 2ⁿ⁻¹.
FIRST_BACKOFF: Final = 60
LONGEST_BACKOFF: Final = 3600
#: Seconds between two flights for an unknown key id (I15).
RENEW_INTERVAL: Final = 30
#: Seconds until somebody else boards a flight whose worker never came.
BOARDING_LIMIT: Final = 3
#: Entries of one cache; the least recently driven go first.
CAPACITY: Final = 5000
#: Entries that share one record of who was used when.
SHARD_SIZE: Final = 100
#: Seconds within which two uses count as one: spares the cache a write per use.
USE_STEP: Final = 60

#: Seconds for which the cache keeps a record that nobody deletes: longer than it can mean anything.
_ENTRY_LIFETIME: Final = FRESH + STALE + LONGEST_BACKOFF
_FLIGHT_LIFETIME: Final = 2 * FLIGHT_LIMIT
_FATE_LIFETIME: Final = 3600
_SHARD_LIFETIME: Final = 24 * 3600
#: Seconds: how long one process may hold a shard, and how long others wait for it.
_SHARD_HOLD: Final = 5
_SHARD_WAIT: Final = 1.0


class FlightFailed(LazyAuthError):
    """A fetch came to nothing; ``reason`` is one word, safe to log and to show."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one source.

    Attributes:
        value: JSON; only with ``fetched_at``.
        fetched_at: When the flight of ``value`` started, in seconds.
        failures: In a row, since the last good flight.
        failed_at: When the last of them landed.
    """

    value: Any = None
    fetched_at: float | None = None
    failures: int = 0
    failed_at: float = 0
    reason: str = ""

    def is_usable(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + FRESH + STALE

    def is_fresh(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + FRESH


@dataclass(frozen=True, slots=True)
class Flight:
    """One fetch in the air. ``token`` is its alone: an answer is believed only with the token of now."""

    token: str
    started_at: float

    def is_abandoned(self, now: float) -> bool:
        return now >= self.started_at + FLIGHT_LIMIT


@dataclass(frozen=True, slots=True)
class _Seen:
    """The records of one key, read at once."""

    entry: Entry
    flight: Flight | None
    used_at: float | None
    left_alone_until: float

    def is_due(self, now: float, *, renew: bool) -> bool:
        if self.flight is not None and not self.flight.is_abandoned(now):
            return False
        if now < self.left_alone_until:
            return False
        if renew and self.entry.fetched_at is not None:
            return now >= max(self.entry.fetched_at, self.entry.failed_at) + RENEW_INTERVAL
        return not self.entry.is_fresh(now)

    def result(self, now: float) -> Result[Any]:
        if self.entry.is_usable(now):
            return Ready(self.entry.value)
        if self.flight is not None and not self.flight.is_abandoned(now):
            return Pending()
        if self.entry.failures:
            wait = math.ceil(self.left_alone_until - now)
            return Failed(self.entry.reason, retry_after=max(wait, 1))
        return Pending()


def backoff(failures: int) -> int:
    """Return for how many seconds a source is left alone after so many failures in a row."""
    return min(FIRST_BACKOFF << min(max(failures - 1, 0), 10), LONGEST_BACKOFF)


class SingleFlight:
    """One such cache.

    Args:
        name: Names its records, and itself to a worker.
        fetch: Key → JSON. Runs in a thread of the pool or in a worker, and raises :class:`FlightFailed`.
        capacity: Entries at most.
        longest_backoff: Seconds for which a source that keeps failing is left alone, at most.
        clock: Seconds since the epoch; every process has to have the same.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[str], Any],
        *,
        capacity: int = CAPACITY,
        longest_backoff: int = LONGEST_BACKOFF,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.fetch = fetch
        self.clock = clock
        self.longest_backoff = longest_backoff
        self.shard_count = max(1, capacity // SHARD_SIZE)
        self.shard_size = capacity // self.shard_count
        self._locks = tuple(threading.Lock() for _ in range(16))

    # -- asking ------------------------------------------------------------------------------------------

    def peek(self, key: str) -> Result[Any]:
        """Return what is there. One read of the cache."""
        try:
            seen = self._look(_digest(key))
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            return self._cache_failed(error)
        return seen.result(self.clock())

    def is_in_the_air(self, key: str) -> bool:
        """Say whether somebody is fetching it now; also true while something older is served."""
        try:
            flight = self._look(_digest(key)).flight
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            self._cache_failed(error)
            return False
        return flight is not None and not flight.is_abandoned(self.clock())

    def drive(self, key: str, *, renew: bool = False) -> Result[Any]:
        """Start a flight if one is due, mark the entry as used, and return what :meth:`peek` would. Never waits.

        Args:
            renew: What is there is fresh and not enough: fetch again, if 30 s have passed (I15).
        """
        try:
            return self._drive(key, _digest(key), renew=renew)
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            return self._cache_failed(error)

    def _drive(self, key: str, digest: str, *, renew: bool) -> Result[Any]:
        seen, now = self._look(digest), self.clock()
        if not seen.is_due(now, renew=renew):
            self._board_again(key, seen.flight, now)
            if seen.used_at is not None and now >= seen.used_at + USE_STEP:
                self._use(digest, now)
            return seen.result(now)
        with self._locks[int(digest[0], 16)]:
            token = self._take_off(digest, renew=renew)
        if token is not None:
            background.send(self.name, key, token)
        return self._look(digest).result(self.clock())

    def _cache_failed(self, error: Exception) -> Failed:
        logger.error("The cache failed %s: %s", self.name, type(error).__name__)
        return Failed("cache_unavailable")

    # -- flights -----------------------------------------------------------------------------------------

    def _take_off(self, digest: str, *, renew: bool) -> str | None:
        """Claim the flight that is due; ``None`` if it is somebody else's, or not due any more."""
        seen, now = self._look(digest), self.clock()
        if not seen.is_due(now, renew=renew):
            return None
        mine = Flight(uuid4().hex, now)
        record = (mine.token, mine.started_at)
        if seen.flight is None:
            if not cache.add(self._key("flight", digest), record, _FLIGHT_LIFETIME):
                return None
        elif self._decide_fate(seen.flight.token, "abandoned"):
            cache.set(self._key("flight", digest), record, _FLIGHT_LIFETIME)
        else:
            return None
        # Another one may have landed between our look and our claim.
        entry = self._look(digest).entry
        if not self._seen(entry).is_due(now, renew=renew) or not self._use(digest, now):
            self._release(digest, mine.token)
            return None
        return mine.token

    def _board_again(self, key: str, flight: Flight | None, now: float) -> None:
        """Call a second pilot, once, if the first never came; boarding lets one of them in."""
        if flight is None or not flight.started_at + BOARDING_LIMIT <= now or flight.is_abandoned(now):
            return
        if cache.get(self._key("boarded", flight.token)) is None and cache.add(
            self._key("called", flight.token), 1, _FATE_LIFETIME
        ):
            background.send_thread(self.name, key, flight.token)

    def fly(self, key: str, token: str) -> None:
        """Fetch and land. Called by a pilot; of several for one token, the first flies."""
        if not cache.add(self._key("boarded", token), 1, _FATE_LIFETIME):
            return
        try:
            value, reason = self.fetch(key), ""
        except FlightFailed as failure:
            value, reason = None, failure.reason
        except Exception as error:
            logger.exception("flight of %s: %s", self.name, type(error).__name__)
            value, reason = None, "error"
        if not self.land(key, token, value=value, reason=reason):
            logger.warning("flight of %s: the answer came late and was dropped", self.name)

    def land(self, key: str, token: str, *, value: Any = None, reason: str = "") -> bool:
        """Write the answer of a flight; ``False`` if the flight was abandoned, and the answer dropped."""
        digest, now = _digest(key), self.clock()
        seen = self._look(digest)
        flight = seen.flight
        if flight is None or flight.token != token or flight.is_abandoned(now):
            return False
        if not self._decide_fate(token, "landed"):
            return False
        if reason:
            logger.warning("flight of %s failed (%s)", self.name, reason)
            failures = seen.entry.failures + 1
            entry = replace(seen.entry, failures=failures, failed_at=now, reason=reason)
        else:
            entry = Entry(value, flight.started_at)
        # Somebody may have used up our place meanwhile; without one nothing is written.
        if self._use(digest, now):
            cache.set(self._key("entry", digest), _record(entry), _ENTRY_LIFETIME)
        cache.delete(self._key("flight", digest))
        return True

    def _decide_fate(self, token: str, fate: str) -> bool:
        return bool(cache.add(self._key("fate", token), fate, _FATE_LIFETIME))

    def _release(self, digest: str, token: str) -> None:
        if self._decide_fate(token, "released"):
            cache.delete(self._key("flight", digest))

    # -- records -----------------------------------------------------------------------------------------

    def _key(self, kind: str, name: str) -> str:
        return f"lazyauth:{self.name}:{kind}:{name}"

    def _look(self, digest: str) -> _Seen:
        names = [
            self._key("entry", digest),
            self._key("flight", digest),
            self._key("shard", self._shard(digest)),
        ]
        found = cache.get_many(names)
        entry, flight, shard = (found.get(name) for name in names)
        return self._seen(
            Entry(*entry) if entry is not None else Entry(),
            Flight(*flight) if flight is not None else None,
            None if shard is None else shard.get(digest),
        )

    def _seen(self, entry: Entry, flight: Flight | None = None, used_at: float | None = None) -> _Seen:
        wait = min(backoff(entry.failures), self.longest_backoff) if entry.failures else 0
        return _Seen(entry, flight, used_at, left_alone_until=entry.failed_at + wait if wait else 0)

    def _shard(self, digest: str) -> str:
        return str(int(digest[-8:], 16) % self.shard_count)

    def _use(self, digest: str, now: float) -> bool:
        """Mark an entry as used now, and forget the least recently used of its shard that are too many.

        A full shard forgets although others have room: the bound holds without anybody counting all of them.
        ``False`` if the shard stayed busy, and nothing was marked.
        """
        name = self._key("shard", self._shard(digest))
        ends_at = time.monotonic() + _SHARD_WAIT
        while not cache.add(f"{name}:held", 1, _SHARD_HOLD):
            if time.monotonic() > ends_at:
                return False
            time.sleep(0.002)
        try:
            used: dict[str, float] = cache.get(name) or {}
            used[digest] = now
            surplus = sorted(used, key=used.__getitem__)[: max(len(used) - self.shard_size, 0)]
            for other in surplus:
                del used[other]
            if surplus:
                cache.delete_many([self._key("entry", other) for other in surplus])
            cache.set(name, used, _SHARD_LIFETIME)
        finally:
            cache.delete(f"{name}:held")
        return True


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _record(entry: Entry) -> tuple[Any, ...]:
    return entry.value, entry.fetched_at, entry.failures, entry.failed_at, entry.reason
