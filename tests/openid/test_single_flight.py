"""One flight for many, with a clock that stands still: fresh, stale, failed, abandoned, forgotten."""

from __future__ import annotations

import threading
import time

import pytest

from django_lazyauth.kit import background
from django_lazyauth.openid.results import Failed, Pending, Ready
from django_lazyauth.openid.single_flight import FlightFailed, SingleFlight, backoff
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
def flights(source, clock):
    return background.register(SingleFlight("test", source.fetch, clock=clock))


def another_process(flights):
    """Another process has the same cache and none of our locks."""
    return SingleFlight(flights.name, flights.fetch, clock=flights.clock)


def settled(flights, key=KEY):
    """Wait until nothing is in the air, and peek."""
    ends_at = time.monotonic() + 10
    while flights.is_in_the_air(key):
        assert time.monotonic() < ends_at
        time.sleep(0.005)
    return flights.peek(key)


def flown(flights, key=KEY, **options):
    flights.drive(key, **options)
    return settled(flights, key)


def ready(answer, key=KEY):
    return Ready({"answer": answer, "key": key})


class TestLifeOfAnEntry:
    def test_a_cold_peek_is_pending_and_starts_nothing(self, flights, source):
        assert flights.peek(KEY) == Pending()
        assert flights.peek(KEY) == Pending()
        assert source.calls == []

    def test_a_drive_returns_at_once_and_one_flight_lands(self, flights, source):
        source.gate.clear()
        for _ in range(5):
            flights.drive(KEY)
            assert flights.peek(KEY) == Pending()
        source.gate.set()
        assert settled(flights) == ready("first")
        assert len(source.calls) == 1

    def test_fresh_for_an_hour(self, flights, source, clock):
        flown(flights)
        clock.now += 3599
        assert flown(flights) == ready("first")
        assert len(source.calls) == 1

    def test_stale_for_one_more_while_it_is_fetched_anew(self, flights, source, clock):
        flown(flights)
        clock.now += 3600
        source.answer = "second"
        source.gate.clear()
        flights.drive(KEY)
        assert flights.peek(KEY) == ready("first")
        source.gate.set()
        assert settled(flights) == ready("second")
        assert len(source.calls) == 2

    def test_stale_also_while_the_source_fails_and_gone_after_two_hours(self, flights, source, clock):
        flown(flights)
        source.answer = FlightFailed("connect")
        clock.now += 3600
        assert flown(flights) == ready("first")
        clock.now += 3599
        assert flown(flights) == ready("first")
        clock.now += 1
        assert flights.peek(KEY) == Failed("connect", retry_after=119)

    def test_peek_never_starts_a_flight(self, flights, source, clock):
        flown(flights)
        clock.now += 7200
        assert flights.peek(KEY) == Pending()
        assert len(source.calls) == 1


class TestFailures:
    def test_a_cold_failure_is_told_and_left_alone(self, flights, source, clock):
        """Spec: 60 s × 2ⁿ; it is not pending for ever."""
        source.answer = FlightFailed("dns")
        waits = [60, 120, 240, 480]
        for number, wait in enumerate(waits, start=1):
            assert flown(flights) == Failed("dns", retry_after=wait)
            assert len(source.calls) == number
            clock.now += wait - 1
            assert flown(flights) == Failed("dns", retry_after=1)
            assert len(source.calls) == number
            clock.now += 1

    def test_while_it_is_tried_again_it_is_pending(self, flights, source, clock):
        source.answer = FlightFailed("dns")
        flown(flights)
        clock.now += 60
        source.gate.clear()
        source.answer = "first"
        flights.drive(KEY)
        assert flights.peek(KEY) == Pending()
        source.gate.set()
        assert settled(flights) == ready("first")

    def test_a_success_forgets_the_failures(self, flights, source, clock):
        source.answer = FlightFailed("dns")
        flown(flights)
        clock.now += 60
        source.answer = "first"
        flown(flights)
        clock.now += 7200
        source.answer = FlightFailed("dns")
        assert flown(flights) == Failed("dns", retry_after=60)

    def test_whatever_a_fetch_raises_the_flight_ends(self, flights, source, caplog):
        source.answer = ZeroDivisionError("1/0")
        assert flown(flights) == Failed("error", retry_after=60)

    def test_the_longest_wait_is_an_hour(self):
        assert [backoff(n) for n in (1, 2, 7, 500)] == [60, 120, 3600, 3600]


class TestAbandonedFlights:
    def test_a_flight_is_taken_over_after_120_s_and_not_before(self, flights, source, clock):
        source.gate.clear()
        flights.drive(KEY)
        assert source.entered.acquire(timeout=5)
        clock.now += 119
        other = another_process(flights)
        other.drive(KEY)
        assert len(source.calls) == 1
        clock.now += 1
        other.drive(KEY)
        assert source.entered.acquire(timeout=5)
        assert len(source.calls) == 2
        source.gate.set()
        assert settled(flights) == ready("first")

    def test_a_late_answer_is_dropped(self, flights, source, clock):
        """What the successor wrote stands, whichever answer comes last."""
        taken = [flights._take_off(digest_of(KEY), renew=False)]
        clock.now += 120
        taken.append(flights._take_off(digest_of(KEY), renew=False))
        assert flights.land(KEY, taken[1], value="of the successor")
        assert not flights.land(KEY, taken[0], value="late")
        assert flights.peek(KEY) == Ready("of the successor")

    def test_a_late_answer_is_dropped_also_while_the_successor_flies(self, flights, clock):
        first = flights._take_off(digest_of(KEY), renew=False)
        clock.now += 120
        second = flights._take_off(digest_of(KEY), renew=False)
        assert not flights.land(KEY, first, value="late")
        assert flights.land(KEY, second, value="of the successor")
        assert flights.peek(KEY) == Ready("of the successor")

    def test_an_answer_after_the_limit_is_late_although_nobody_took_over(self, flights, clock):
        first = flights._take_off(digest_of(KEY), renew=False)
        clock.now += 120
        assert not flights.land(KEY, first, value="late")
        assert flights.peek(KEY) == Pending()

    def test_of_many_successors_one_takes_over(self, flights, clock):
        flights._take_off(digest_of(KEY), renew=False)
        clock.now += 120
        tokens = in_threads(16, lambda: another_process(flights)._take_off(digest_of(KEY), renew=False))
        assert len([token for token in tokens if token]) == 1

    def test_a_flight_that_nobody_boarded_gets_a_second_pilot(self, flights, source, clock):
        """A queue that lost it, or a worker that never came."""
        flights._take_off(digest_of(KEY), renew=False)
        clock.now += 3
        for _ in range(10):
            flights.drive(KEY)
        assert settled(flights) == ready("first")
        assert len(source.calls) == 1

    def test_a_flight_is_flown_once_although_two_were_asked(self, flights, source):
        token = flights._take_off(digest_of(KEY), renew=False)
        in_threads(8, lambda: flights.fly(KEY, token))
        assert len(source.calls) == 1


class TestRenewal:
    def test_fresh_keys_are_fetched_again_once_per_30_s(self, flights, source, clock):
        """I15."""
        flown(flights)
        source.answer = "second"
        for _ in range(20):
            assert flown(flights, renew=True) == ready("first")
        clock.now += 30
        for _ in range(20):
            assert flown(flights, renew=True) == ready("second")
        assert len(source.calls) == 2

    def test_a_failed_renewal_keeps_what_there_was(self, flights, source, clock):
        """I15: and counts as the one fetch."""
        flown(flights)
        clock.now += 30
        source.answer = FlightFailed("status")
        for _ in range(20):
            assert flown(flights, renew=True) == ready("first")
            clock.now += 2
        assert len(source.calls) == 2


class TestCapacity:
    def test_the_least_recently_driven_goes_first(self, source, clock):
        flights = background.register(SingleFlight("small", source.fetch, capacity=3, clock=clock))
        for name in "abc":
            flown(flights, name)
            clock.now += 60
        flown(flights, "a")
        clock.now += 60
        flown(flights, "d")
        assert [isinstance(flights.peek(name), Ready) for name in "abcd"] == [True, False, True, True]

    def test_peek_never_touches_the_order(self, source, clock):
        flights = background.register(SingleFlight("small", source.fetch, capacity=2, clock=clock))
        for name in "ab":
            flown(flights, name)
            clock.now += 60
        for _ in range(10):
            flights.peek("a")
        flown(flights, "c")
        assert [isinstance(flights.peek(name), Ready) for name in "abc"] == [False, True, True]

    def test_eviction_is_pending_and_not_a_failure(self, source, clock):
        flights = background.register(SingleFlight("small", source.fetch, capacity=1, clock=clock))
        flown(flights, "a")
        clock.now += 1
        flown(flights, "b")
        assert flights.peek("a") == Pending()
        assert flown(flights, "a") == ready("first", "a")

    def test_never_more_than_5000(self, clock):
        flights = background.register(SingleFlight("many", lambda key: key, clock=clock))
        assert flights.shard_count * flights.shard_size == 5000
        for number in range(7000):
            key = f"d{number}.example"
            token = flights._take_off(digest_of(key), renew=False)
            assert flights.land(key, token, value=number)
            clock.now += 0.01
        kept = sum(isinstance(flights.peek(f"d{number}.example"), Ready) for number in range(7000))
        recent = sum(isinstance(flights.peek(f"d{number}.example"), Ready) for number in range(6000, 7000))
        assert kept <= 5000
        assert recent == 1000

    @pytest.fixture(autouse=True)
    def _room(self, settings):
        # Django's own default for local memory is 300 entries.
        settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": {"MAX_ENTRIES": 100_000}}}


class TestManyAtOnce:
    def test_100_threads_on_a_cold_key_are_one_fetch(self, flights, source):
        in_threads(100, lambda: flights.drive(KEY))
        assert settled(flights) == ready("first")
        assert len(source.calls) == 1

    @pytest.mark.services
    def test_the_same_on_redis_with_locks_of_their_own(self, redis_cache, flights, source):
        in_threads(100, lambda: another_process(flights).drive(KEY))
        assert settled(flights) == ready("first")
        assert len(source.calls) == 1

    @pytest.mark.services
    def test_a_quick_flight_is_not_flown_twice_by_a_slow_looker(self, redis_cache, flights, source):
        """Whoever looked before a landing and claims after it looks again."""
        for number in range(30):
            in_threads(20, lambda key=f"d{number}": another_process(flights).drive(key))
            settled(flights, f"d{number}")
        assert len(source.calls) == len(set(source.calls)) == 30


def test_a_cache_that_is_down_is_a_failure_and_not_an_exception(flights, settings, caplog):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    flights.drive(KEY)
    assert flights.peek(KEY) == Failed("cache_unavailable")
    assert "ConnectionError" in caplog.text


def digest_of(key):
    from django_lazyauth.openid.single_flight import _digest

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
