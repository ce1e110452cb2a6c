"""One fetch for many callers, with a clock that stands still: fresh, stale, failed, abandoned, deleted."""

from __future__ import annotations

import threading
import time

import pytest
from django.core.cache.backends.locmem import LocMemCache

from django_lazyauth.kit.cached_fetch import CachedFetch, backoff, register
from django_lazyauth.kit.results import Failed, Pending, Ready, SourceFailed
from tests.support.caches import redis_cache

__all__ = ["redis_cache"]

KEY = "corp.example"


class Source:
    """What is fetched, how often, and when it answers."""

    def __init__(self):
        self.calls = []
        self.answer = "first"
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def fetch(self, key):
        self.calls.append(key)
        answer = self.answer
        self.entered.release()
        assert self.gate.wait(20)
        if isinstance(answer, Exception):
            raise answer
        return {"answer": answer, "key": key}


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def source():
    made = Source()
    yield made
    made.gate.set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cached(source, clock):
    return register(CachedFetch("test", source.fetch, clock=clock))


def another_process(cached):
    """Another process has the same cache and none of our locks."""
    return CachedFetch(cached.name, cached.fetch, clock=cached.clock)


def settled(cached, key=KEY):
    """Wait until no fetch is running, and peek."""
    ends_at = time.monotonic() + 10
    while cached.is_fetching(key):
        assert time.monotonic() < ends_at
        time.sleep(0.005)
    return cached.peek(key)


def fetched(cached, key=KEY, **options):
    cached.fetch_if_due(key, **options)
    return settled(cached, key)


def ready(answer, key=KEY):
    return Ready({"answer": answer, "key": key})


class TestLifeOfAnEntry:
    def test_a_cold_peek_is_pending_and_starts_nothing(self, cached, source):
        assert cached.peek(KEY) == Pending()
        assert cached.peek(KEY) == Pending()
        assert source.calls == []

    def test_a_request_returns_at_once_and_one_fetch_finishes(self, cached, source):
        source.gate.clear()
        for _ in range(5):
            cached.fetch_if_due(KEY)
            assert cached.peek(KEY) == Pending()
        source.gate.set()
        assert settled(cached) == ready("first")
        assert len(source.calls) == 1

    def test_fresh_for_an_hour(self, cached, source, clock):
        fetched(cached)
        clock.now += 3599
        assert fetched(cached) == ready("first")
        assert len(source.calls) == 1

    def test_stale_for_one_more_while_it_is_fetched_anew(self, cached, source, clock):
        fetched(cached)
        clock.now += 3600
        source.answer = "second"
        source.gate.clear()
        cached.fetch_if_due(KEY)
        assert cached.peek(KEY) == ready("first")
        source.gate.set()
        assert settled(cached) == ready("second")
        assert len(source.calls) == 2

    def test_stale_also_while_the_source_fails_and_gone_after_two_hours(self, cached, source, clock):
        fetched(cached)
        source.answer = SourceFailed("connect")
        clock.now += 3600
        assert fetched(cached) == ready("first")
        clock.now += 3599
        assert fetched(cached) == ready("first")
        clock.now += 1
        assert cached.peek(KEY) == Failed("connect", retry_after=119)

    def test_peek_never_starts_a_fetch(self, cached, source, clock):
        fetched(cached)
        clock.now += 7200
        assert cached.peek(KEY) == Pending()
        assert len(source.calls) == 1


class TestFailures:
    def test_a_cold_failure_is_told_and_left_alone(self, cached, source, clock):
        """Spec: 60 s × 2ⁿ; it is not pending for ever."""
        source.answer = SourceFailed("dns")
        waits = [60, 120, 240, 480]
        for number, wait in enumerate(waits, start=1):
            assert fetched(cached) == Failed("dns", retry_after=wait)
            assert len(source.calls) == number
            clock.now += wait - 1
            assert fetched(cached) == Failed("dns", retry_after=1)
            assert len(source.calls) == number
            clock.now += 1

    def test_while_it_is_tried_again_it_is_pending(self, cached, source, clock):
        source.answer = SourceFailed("dns")
        fetched(cached)
        clock.now += 60
        source.gate.clear()
        source.answer = "first"
        cached.fetch_if_due(KEY)
        assert cached.peek(KEY) == Pending()
        source.gate.set()
        assert settled(cached) == ready("first")

    def test_a_success_forgets_the_failures(self, cached, source, clock):
        source.answer = SourceFailed("dns")
        fetched(cached)
        clock.now += 60
        source.answer = "first"
        fetched(cached)
        clock.now += 7200
        source.answer = SourceFailed("dns")
        assert fetched(cached) == Failed("dns", retry_after=60)

    def test_whatever_a_fetch_raises_it_ends(self, cached, source, caplog):
        source.answer = ZeroDivisionError("1/0")
        assert fetched(cached) == Failed("error", retry_after=60)

    def test_the_longest_wait_is_an_hour(self):
        assert [backoff(n) for n in (1, 2, 7, 500)] == [60, 120, 3600, 3600]


class TestAbandonedFetches:
    def test_a_fetch_is_replaced_after_120_s_and_not_before(self, cached, source, clock):
        source.gate.clear()
        cached.fetch_if_due(KEY)
        assert source.entered.acquire(timeout=5)
        clock.now += 119
        other = another_process(cached)
        other.fetch_if_due(KEY)
        assert len(source.calls) == 1
        clock.now += 1
        other.fetch_if_due(KEY)
        assert source.entered.acquire(timeout=5)
        assert len(source.calls) == 2
        source.gate.set()
        assert settled(cached) == ready("first")

    def test_a_late_answer_is_dropped(self, cached, source, clock):
        """What the successor wrote stands, whichever answer comes last."""
        taken = [cached._claim(digest_of(KEY), renew=False)]
        clock.now += 120
        taken.append(cached._claim(digest_of(KEY), renew=False))
        assert cached.finish(KEY, taken[1], value="of the successor")
        assert not cached.finish(KEY, taken[0], value="late")
        assert cached.peek(KEY) == Ready("of the successor")

    def test_a_late_answer_is_dropped_also_while_the_successor_runs(self, cached, clock):
        first = cached._claim(digest_of(KEY), renew=False)
        clock.now += 120
        second = cached._claim(digest_of(KEY), renew=False)
        assert not cached.finish(KEY, first, value="late")
        assert cached.finish(KEY, second, value="of the successor")
        assert cached.peek(KEY) == Ready("of the successor")

    def test_an_answer_after_the_limit_is_late_although_nobody_took_over(self, cached, clock):
        first = cached._claim(digest_of(KEY), renew=False)
        clock.now += 120
        assert not cached.finish(KEY, first, value="late")
        assert cached.peek(KEY) == Pending()

    def test_of_many_successors_one_takes_over(self, cached, clock):
        cached._claim(digest_of(KEY), renew=False)
        clock.now += 120
        tokens = in_threads(16, lambda: another_process(cached)._claim(digest_of(KEY), renew=False))
        assert len([token for token in tokens if token]) == 1

    def test_a_fetch_that_no_worker_started_is_started_by_a_thread(self, cached, source, clock):
        """A queue that lost it, or a worker that never came."""
        cached._claim(digest_of(KEY), renew=False)
        clock.now += 3
        for _ in range(10):
            cached.fetch_if_due(KEY)
        assert settled(cached) == ready("first")
        assert len(source.calls) == 1

    def test_of_many_starts_of_one_fetch_the_first_fetches(self, cached, source):
        token = cached._claim(digest_of(KEY), renew=False)
        in_threads(8, lambda: cached.run(KEY, token))
        assert len(source.calls) == 1


class TestRenewal:
    def test_fresh_keys_are_fetched_again_once_per_30_s(self, cached, source, clock):
        """I15."""
        fetched(cached)
        source.answer = "second"
        for _ in range(20):
            assert fetched(cached, renew=True) == ready("first")
        clock.now += 30
        for _ in range(20):
            assert fetched(cached, renew=True) == ready("second")
        assert len(source.calls) == 2

    def test_a_failed_renewal_keeps_what_there_was(self, cached, source, clock):
        """I15: and counts as the one fetch."""
        fetched(cached)
        clock.now += 30
        source.answer = SourceFailed("status")
        for _ in range(20):
            assert fetched(cached, renew=True) == ready("first")
            clock.now += 2
        assert len(source.calls) == 2


class TestCapacity:
    def test_the_least_recently_used_is_deleted_first(self, source, clock):
        cached = register(CachedFetch("small", source.fetch, capacity=3, clock=clock))
        for name in "abc":
            fetched(cached, name)
            clock.now += 60
        fetched(cached, "a")
        clock.now += 60
        fetched(cached, "d")
        assert [isinstance(cached.peek(name), Ready) for name in "abcd"] == [True, False, True, True]

    def test_peek_never_touches_the_order(self, source, clock):
        cached = register(CachedFetch("small", source.fetch, capacity=2, clock=clock))
        for name in "ab":
            fetched(cached, name)
            clock.now += 60
        for _ in range(10):
            cached.peek("a")
        fetched(cached, "c")
        assert [isinstance(cached.peek(name), Ready) for name in "abc"] == [False, True, True]

    def test_eviction_is_pending_and_not_a_failure(self, source, clock):
        cached = register(CachedFetch("small", source.fetch, capacity=1, clock=clock))
        fetched(cached, "a")
        clock.now += 1
        fetched(cached, "b")
        assert cached.peek("a") == Pending()
        assert fetched(cached, "a") == ready("first", "a")

    @pytest.mark.slow
    def test_never_more_than_5000(self, clock):
        cached = register(CachedFetch("many", lambda key: key, clock=clock))
        assert cached.shard_count * cached.shard_size == 5000
        for number in range(7000):
            key = f"d{number}.example"
            token = cached._claim(digest_of(key), renew=False)
            assert cached.finish(key, token, value=number)
            clock.now += 0.01
        kept = sum(isinstance(cached.peek(f"d{number}.example"), Ready) for number in range(7000))
        recent = sum(isinstance(cached.peek(f"d{number}.example"), Ready) for number in range(6000, 7000))
        assert kept <= 5000
        assert recent == 1000

    @pytest.fixture(autouse=True)
    def _room(self, settings):
        # Django's own default for local memory is 300 entries.
        settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": {"MAX_ENTRIES": 100_000}}}


class TestManyAtOnce:
    def test_100_threads_on_a_cold_key_are_one_fetch(self, cached, source):
        in_threads(100, lambda: cached.fetch_if_due(KEY))
        assert settled(cached) == ready("first")
        assert len(source.calls) == 1

    @pytest.mark.services
    def test_the_same_on_redis_with_locks_of_their_own(self, redis_cache, cached, source):
        in_threads(100, lambda: another_process(cached).fetch_if_due(KEY))
        assert settled(cached) == ready("first")
        assert len(source.calls) == 1

    @pytest.mark.services
    def test_a_quick_fetch_is_not_run_twice_by_a_slow_looker(self, redis_cache, cached, source):
        """A caller that looked before a fetch finished and claims after it looks again."""
        for number in range(30):
            in_threads(20, lambda key=f"d{number}": another_process(cached).fetch_if_due(key))
            settled(cached, f"d{number}")
        assert len(source.calls) == len(set(source.calls)) == 30


def test_a_cache_that_is_down_is_a_failure_and_not_an_exception(cached, settings, caplog):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    cached.fetch_if_due(KEY)
    assert cached.peek(KEY) == Failed("cache_unavailable")
    assert "ConnectionError" in caplog.text


class LosingCache(LocMemCache):
    """Takes every write, and keeps none: its memory is full."""

    def add(self, *args, **kwargs):
        return True

    def set(self, *args, **kwargs):
        return None


@pytest.mark.parametrize(
    "backend", [f"{__name__}.LosingCache", "django.core.cache.backends.dummy.DummyCache"]
)
def test_i15_a_cache_that_loses_writes_is_a_failure_and_nobody_fetches(cached, source, settings, backend):
    """Nobody would find the answer, and each request would fetch anew."""
    settings.CACHES = {"default": {"BACKEND": backend}}
    for _ in range(20):
        assert cached.fetch_if_due(KEY) == Failed("cache_unavailable")
    assert source.calls == []


def digest_of(key):
    from django_lazyauth.kit.cached_fetch import _digest

    return _digest(key)


def in_threads(count, work):
    """Run *work* in so many threads that start together, and return what they gave."""
    barrier, answers = threading.Barrier(count), []

    def run():
        barrier.wait(20)
        answers.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers
