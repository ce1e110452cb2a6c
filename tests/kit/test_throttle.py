"""The fixed-window counter: what it allows, what it shows, and what it does without a cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache

from django_lazyauth.kit import throttle
from django_lazyauth.kit.throttle import Throttle

THREE = Throttle("test", 3, timedelta(minutes=1))


class BrokenCache(BaseCache):
    """A cache whose server is down."""

    def __init__(self, location, params):
        super().__init__(params)

    def _down(self, *args, **kwargs):
        raise ConnectionError("for alice@example.org")

    add = incr = decr = touch = _down


BROKEN = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    cache.clear()
    now = [1_000_000_020.0]
    monkeypatch.setattr(throttle.time, "time", lambda: now[0])
    return now


def test_the_limit_is_the_last_attempt_that_passes():
    assert [THREE.take("alice@example.org") for _ in range(5)] == [True, True, True, False, False]


def test_keys_and_scopes_do_not_share_a_count():
    for _ in range(3):
        THREE.take("alice@example.org")
    assert THREE.take("bob@example.org")
    assert Throttle("other", 3, timedelta(minutes=1)).take("alice@example.org")


def test_a_window_ends_and_attempts_beyond_the_limit_do_not_prolong_it(clock):
    for _ in range(10):
        THREE.take("alice@example.org")
        clock[0] += 5
    clock[0] += 10
    assert THREE.take("alice@example.org")


def test_an_attempt_given_back_can_be_taken_again():
    for _ in range(10):
        assert THREE.take("alice@example.org")
        THREE.give_back("alice@example.org")


def test_giving_back_after_the_window_is_harmless(clock):
    THREE.take("alice@example.org")
    clock[0] += 60
    THREE.give_back("alice@example.org")
    assert [THREE.take("alice@example.org") for _ in range(4)] == [True, True, True, False]


def test_of_parallel_attempts_no_more_than_the_limit_pass():
    with ThreadPoolExecutor(16) as pool:
        passed = list(pool.map(lambda _: THREE.take("alice@example.org"), range(64)))
    assert passed.count(True) == 3


def test_the_cache_never_sees_an_address():
    """I13: a dump of the cache names nobody, and a list of addresses cannot be tried against its keys."""
    THREE.take("alice@example.org")
    keys = " ".join(cache._cache)
    assert "lazyauth:throttle:" in keys
    assert "alice" not in keys


def test_a_window_outlives_the_default_lifetime_of_the_cache(settings, tmp_path, clock):
    """The file and database caches rewrite a counted value with their default lifetime."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
            "TIMEOUT": 5,
        }
    }
    for _ in range(3):
        THREE.take("alice@example.org")
    clock[0] += 10
    assert not THREE.take("alice@example.org")


@pytest.mark.parametrize("fails_open", [True, False])
def test_without_a_cache_the_answer_is_the_one_chosen_and_the_log_holds_no_address(
    settings, caplog, fails_open
):
    """Threat model, operations: with the cache down sign-in works and registration limits fail closed."""
    settings.CACHES = BROKEN
    limited = Throttle("test", 3, timedelta(minutes=1), fails_open=fails_open)
    assert limited.take("alice@example.org") is fails_open
    limited.give_back("alice@example.org")
    assert "ConnectionError" in caplog.text
    assert "alice" not in caplog.text
