"""A cache of what other servers said, fetched once however many threads and processes ask.

The life of one entry, in the clock of the cache::

    fetched            1 h                      2 h
    ├───── fresh ──────┼──────── stale ─────────┼──── expired ───
    peek:         Ready         Ready                Pending, or Failed after a failure
    fetch_if_due: nothing       starts a fetch       starts a fetch

    fetch starts        answer (seconds)               120 s
    ├───── running ─────┤                              ┊
    ├───── running, and its process was killed ────────┼─ abandoned: the next fetch_if_due starts another one,
                                                          and an answer that comes later is dropped

    1st failure  60 s   2nd failure   120 s   3rd failure    240 s …
    ├── no fetch ──┤    ├── no fetch ───┤     ├── no fetch ────┤    60 s × 2ⁿ, at most 1 h

:meth:`CachedFetch.peek` returns what is there: it starts nothing and changes no order.
:meth:`CachedFetch.fetch_if_due` starts a fetch where one is due, and returns at once. An entry whose source fails
is returned until it has expired.

All state is in Django's cache, so a fetch runs once across threads and processes. Each fetch has a token. The first
to add ``fate:<token>`` decides how it ends: the one that finishes it, or the one that replaces it. So a late answer
never overwrites a newer one. The locks of this process only save reads of the cache.

Not here: what is fetched, and how a thread or worker is found (:mod:`.background`).
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

from django.core.cache import cache

from django_lazyauth.conf import lazyauth_settings

from .background import Share, Threads, send_task
from .results import (
    FETCH_LIMIT,
    FRESH,
    STALE,
    Entry,
    Failed,
    Pending,
    Ready,
    Result,
    Running,
    SourceFailed,
)

logger = logging.getLogger("django_lazyauth.openid")

#: Seconds. After the n-th failure in a row no fetch is started for 60 × 2ⁿ⁻¹.
FIRST_BACKOFF: Final = 60
LONGEST_BACKOFF: Final = 3600
#: Seconds between two fetches of a value that is fresh but not enough (I15).
RENEW_INTERVAL: Final = 30
#: Seconds until a thread starts a fetch that no worker has started.
START_LIMIT: Final = 3
#: Entries of one cache. The least recently used are deleted first.
CAPACITY: Final = 5000
#: Entries that share one record of when they were used.
SHARD_SIZE: Final = 100
#: Seconds within which two uses count as one: saves the cache a write per use.
USE_STEP: Final = 60
#: The Celery task, and the seconds after which its message is of no use any more.
TASK: Final = "django_lazyauth.fetch"
MESSAGE_LIFETIME: Final = 60

#: Seconds for which the cache keeps a record that is not deleted: longer than it is used.
_ENTRY_LIFETIME: Final = FRESH + STALE + LONGEST_BACKOFF
_RUNNING_LIFETIME: Final = 2 * FETCH_LIMIT
_FATE_LIFETIME: Final = 3600
_SHARD_LIFETIME: Final = 24 * 3600
#: Seconds for which one process may lock a shard, and for which others wait for the lock.
_SHARD_HOLD: Final = 5
_SHARD_WAIT: Final = 1.0

#: A full queue is empty before its fetches count as abandoned: 12 at a time, 10 s each at most. Those of strangers have
#: shares of them, which leave some threads to what an operator chose.
_threads = Threads("fetch", threads=12, queue=96)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The records of one key, read at once."""

    entry: Entry
    running: Running | None = None
    used_at: float | None = None
    no_fetch_until: float = 0

    def is_running(self, now: float) -> bool:
        return self.running is not None and not self.running.is_abandoned(now)

    def is_due(self, now: float, *, renew: bool, interval: float) -> bool:
        if self.is_running(now) or now < self.no_fetch_until:
            return False
        if renew and self.entry.fetched_at is not None:
            return now >= max(self.entry.fetched_at, self.entry.failed_at) + interval
        return not self.entry.is_fresh(now)

    def result(self, now: float) -> Result[Any]:
        if self.entry.is_usable(now):
            return Ready(self.entry.value)
        if self.entry.failures and not self.is_running(now):
            return Failed(self.entry.reason, retry_after=max(math.ceil(self.no_fetch_until - now), 1))
        return Pending()


def backoff(failures: int) -> int:
    """Return for how many seconds no fetch is started after so many failures in a row."""
    return min(FIRST_BACKOFF << min(max(failures - 1, 0), 10), LONGEST_BACKOFF)


class LostWrite(Exception):
    """The cache said that it keeps a record, and said so again: it did not keep it."""


class CachedFetch:
    """One such cache.

    Args:
        name: Names its records, and itself to a worker.
        fetch: Key → JSON. Runs in a thread or a worker, and raises :class:`SourceFailed`.
        capacity: Entries at most.
        longest_backoff: Seconds for which a source that keeps failing is not fetched, at most.
        clock: Seconds since the epoch; every process must have the same.
        shares: Key → the shares of this process's threads that its fetch counts in. One that finds a share full is not
            started. Celery's workers know no shares.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[str], Any],
        *,
        capacity: int = CAPACITY,
        longest_backoff: int = LONGEST_BACKOFF,
        clock: Callable[[], float] = time.time,
        shares: Callable[[str], tuple[Share, ...]] = lambda _: (),
    ) -> None:
        self.name = name
        self.fetch = fetch
        self.clock = clock
        self.longest_backoff = longest_backoff
        self.shares = shares
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

    def is_fetching(self, key: str) -> bool:
        """Say whether a fetch is running now; also true while an older value is returned."""
        try:
            return self._look(_digest(key)).is_running(self.clock())
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            self._cache_failed(error)
            return False

    def last(self, key: str) -> Entry:
        """Return the record of *key*, for an operator to look at: when it was fetched, and what failed since."""
        try:
            return self._look(_digest(key)).entry
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            self._cache_failed(error)
            return Entry()

    def forget_failures(self, key: str) -> None:
        """Let a fetch of *key* be due although it failed: an operator knows that its source works again."""
        try:
            entry = self._look(_digest(key)).entry
            if entry.failures and self._use(_digest(key), self.clock()):
                self._keep(_digest(key), replace(entry, failures=0, reason=""))
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            self._cache_failed(error)

    def fetch_if_due(self, key: str, *, renew: bool = False, interval: float = RENEW_INTERVAL) -> Result[Any]:
        """Start a fetch if one is due, mark the entry as used, and return what :meth:`peek` would. Never waits.

        Args:
            renew: The value is fresh but not enough: fetch it again, if *interval* has passed (I15).
            interval: Seconds since the last fetch.
        """
        try:
            return self._fetch_if_due(key, _digest(key), renew=renew, interval=interval)
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            return self._cache_failed(error)

    def _fetch_if_due(self, key: str, digest: str, *, renew: bool, interval: float) -> Result[Any]:
        seen, now = self._look(digest), self.clock()
        if not seen.is_due(now, renew=renew, interval=interval):
            self._start_unstarted(key, seen.running, now)
            if seen.used_at is not None and now >= seen.used_at + USE_STEP:
                self._use(digest, now)
            return seen.result(now)
        with self._locks[int(digest[0], 16)]:
            token = self._claim(digest, renew=renew, interval=interval)
        if token is not None:
            self._start(key, token)
        return self._look(digest).result(self.clock())

    def _cache_failed(self, error: Exception) -> Failed:
        logger.error("The cache failed %s: %s", self.name, type(error).__name__)
        return Failed("cache_unavailable")

    # -- starting ----------------------------------------------------------------------------------------

    def _claim(self, digest: str, *, renew: bool, interval: float = RENEW_INTERVAL) -> str | None:
        """Return the token of the fetch that is due; ``None`` if another caller has it, or it is not due any more."""
        seen, now = self._look(digest), self.clock()
        if not seen.is_due(now, renew=renew, interval=interval):
            return None
        ours = Running(uuid4().hex, now)
        name = self._key("running", digest)
        if seen.running is None:
            if not cache.add(name, astuple(ours), _RUNNING_LIFETIME):
                return None
            if cache.add(name, astuple(ours), _RUNNING_LIFETIME):
                # Each request would fetch (I15), and nobody would ever find the answer.
                raise LostWrite
        elif self._decide_fate(seen.running.token, "abandoned"):
            cache.set(name, astuple(ours), _RUNNING_LIFETIME)
        else:
            return None
        # Another fetch may have finished between our look and our claim.
        entry = self._look(digest).entry
        if self._seen(entry).is_due(now, renew=renew, interval=interval) and self._use(digest, now):
            return ours.token
        self._release(digest, ours.token)
        return None

    def _release(self, digest: str, token: str) -> None:
        """Let go of a fetch that does not start."""
        if self._decide_fate(token, "released"):
            cache.delete(self._key("running", digest))

    def _start(self, key: str, token: str) -> None:
        if lazyauth_settings.discovery_runner == "celery":
            try:
                send_task(TASK, (self.name, key, token), lifetime=MESSAGE_LIFETIME)
            except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
                logger.error("Celery took no fetch: %s", type(error).__name__)
            else:
                return
        self._start_thread(key, token)

    def _start_thread(self, key: str, token: str) -> None:
        if not _threads.submit(partial(self.run, key, token), *self.shares(key)):
            logger.error("fetch of %s: too many are waiting in this process", self.name)
            # Whoever asks next tries again.
            self._release(_digest(key), token)

    def _start_unstarted(self, key: str, running: Running | None, now: float) -> None:
        """Start a thread, once, for a fetch that no worker has started. The one that starts first fetches."""
        if running is None or not running.started_at + START_LIMIT <= now or running.is_abandoned(now):
            return
        if cache.get(self._key("started", running.token)) is None and cache.add(
            self._key("replaced", running.token), 1, _FATE_LIFETIME
        ):
            self._start_thread(key, running.token)

    # -- fetching ----------------------------------------------------------------------------------------

    def run(self, key: str, token: str) -> None:
        """Fetch and write the answer. Of several calls for one token, the first fetches."""
        if not cache.add(self._key("started", token), 1, _FATE_LIFETIME):
            return
        try:
            value, reason = self.fetch(key), ""
        except SourceFailed as failure:
            value, reason = None, failure.reason
            if failure.debug:
                logger.warning("fetch of %s: %s", self.name, failure.detail)
        except Exception as error:
            logger.exception("fetch of %s: %s", self.name, type(error).__name__)
            value, reason = None, "error"
        if not self.finish(key, token, value=value, reason=reason):
            logger.warning("fetch of %s: the answer came late and was dropped", self.name)

    def finish(self, key: str, token: str, *, value: Any = None, reason: str = "") -> bool:
        """Write the answer of a fetch; ``False`` if the fetch was abandoned, and the answer dropped."""
        digest, now = _digest(key), self.clock()
        seen = self._look(digest)
        running = seen.running
        if running is None or running.token != token or running.is_abandoned(now):
            return False
        if not self._decide_fate(token, "finished"):
            return False
        if reason:
            logger.warning("fetch of %s failed (%s)", self.name, reason)
            failures = seen.entry.failures + 1
            entry = replace(seen.entry, failures=failures, failed_at=now, reason=reason)
        else:
            entry = Entry(value, running.started_at)
        # Other entries may have taken the place of this one meanwhile. Without a place nothing is written.
        if self._use(digest, now):
            self._keep(digest, entry)
        cache.delete(self._key("running", digest))
        return True

    def _keep(self, digest: str, entry: Entry) -> None:
        record = (entry.value, entry.fetched_at, entry.failures, entry.failed_at, entry.reason)
        cache.set(self._key("entry", digest), record, _ENTRY_LIFETIME)

    def _decide_fate(self, token: str, fate: str) -> bool:
        return bool(cache.add(self._key("fate", token), fate, _FATE_LIFETIME))

    # -- records -----------------------------------------------------------------------------------------

    def _key(self, kind: str, name: str) -> str:
        return f"lazyauth:{self.name}:{kind}:{name}"

    def _look(self, digest: str) -> _Seen:
        records = (("entry", digest), ("running", digest), ("shard", self._shard(digest)))
        names = [self._key(*record) for record in records]
        found = cache.get_many(names)
        entry, running, shard = (found.get(name) for name in names)
        return self._seen(
            Entry(*entry) if entry is not None else Entry(),
            Running(*running) if running is not None else None,
            None if shard is None else shard.get(digest),
        )

    def _seen(self, entry: Entry, running: Running | None = None, used_at: float | None = None) -> _Seen:
        wait = min(backoff(entry.failures), self.longest_backoff) if entry.failures else 0
        return _Seen(entry, running, used_at, no_fetch_until=entry.failed_at + wait if wait else 0)

    def _shard(self, digest: str) -> str:
        return str(int(digest[-8:], 16) % self.shard_count)

    def _use(self, digest: str, now: float) -> bool:
        """Mark an entry as used now, and delete the least recently used ones that are too many for its shard.

        A full shard deletes although others have space: so the bound holds without a count of all entries.
        ``False`` if the shard stayed locked, and nothing was marked.
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


# -- by name ---------------------------------------------------------------------------------------------------

_by_name: dict[str, CachedFetch] = {}


def register(cached: CachedFetch) -> CachedFetch:
    """Make a cache known by its name, so that a worker finds it."""
    _by_name[cached.name] = cached
    return cached


def run_by_name(name: str, key: str, token: str) -> None:
    """Run a fetch of the cache *name*: what a worker does."""
    _by_name[name].run(key, token)
