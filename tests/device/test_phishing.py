"""Issue 17, done when 3: codes that are guessed, devices that flood, and what their rows may cost (I16)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from django_lazyauth.authorize import user_code
from django_lazyauth.authorize.device_request import MAX_IN_ALL, MAX_OF_NETWORK
from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit import throttle
from django_lazyauth.models import DeviceAuthorization, DeviceStatus
from django_lazyauth.web.device import page
from tests.support.devices import answer, ask, codes, enter, poll
from tests.support.journey import get, make_browser, submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television")]

TRIES, NETWORKS = 100_000, 100


def test_a_hundred_thousand_guesses_from_a_hundred_networks_stay_within_the_caps(monkeypatch):
    """Spec 8.2: 10 wrong ones in 10 minutes of one network, and 300 a minute in all, however many come."""
    began, minutes = throttle.time.time(), 10
    looked_up = {}
    for minute in range(minutes):
        now = began - began % 600 + 600 + 60 * minute
        monkeypatch.setattr(throttle.time, "time", lambda now=now: now)
        for number in range(TRIES // minutes):
            network = f"198.51.{number % NETWORKS}.0/24"
            if user_code.judge_try(network) is throttle.Verdict.WITHIN:
                looked_up.setdefault(minute, []).append(network)
    of_minutes = [len(networks) for networks in looked_up.values()]
    assert max(of_minutes) <= 300
    tries = [network for networks in looked_up.values() for network in networks]
    assert max(map(tries.count, set(tries))) <= 10
    assert len(tries) <= NETWORKS * 10


def test_the_eleventh_wrong_code_is_not_looked_up():
    """Spec 8.2: then "later", also for the right one."""
    asked, browser = codes(), make_browser()
    for _ in range(10):
        assert enter(browser, "BBBB-BBBB").status_code == 200
    late = enter(browser, asked["user_code"])
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 0
    assert "Too many wrong codes" in late.content.decode()
    assert DeviceAuthorization.objects.get().status == DeviceStatus.WAITING
    # Another network goes on.
    other = make_browser()
    other.defaults["REMOTE_ADDR"] = "192.0.2.77"
    assert enter(other, asked["user_code"]).status_code == 303


def test_right_codes_and_codes_that_can_be_none_do_not_count():
    browser = make_browser()
    for _ in range(12):
        assert enter(browser, codes()["user_code"]).status_code == 303
        DeviceAuthorization.objects.all().delete()
    for typed in ["", "x", "AEIO-UAEI", "1234-5678", "B" * 9, "b" * 60] * 3:
        assert enter(browser, typed).status_code == 200


def test_with_the_cache_down_no_code_is_taken(monkeypatch):
    """Nothing would stop who guesses."""
    asked, browser = codes(), make_browser()
    form = get(browser, "/device")

    def down(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(cache, "incr", down, raising=False)
    answered = submit(browser, form, user_code=asked["user_code"])
    assert answered.status_code == 503
    # Spec 10, Errors: nothing is said that the server does not know.
    assert "wrong codes" not in answered.content.decode()
    assert "does not work at the moment" in answered.content.decode()


def test_a_right_code_that_finds_no_place_is_not_counted_as_wrong(monkeypatch):
    """Spec 10, Errors: who typed the right code is not told of wrong ones."""
    asked, browser = codes(), make_browser()
    with monkeypatch.context() as full:
        full.setattr(page, "claim", no_place)
        for _ in range(12):
            assert enter(browser, asked["user_code"]).status_code == 503
    assert enter(browser, asked["user_code"]).status_code == 303


def no_place(*args, **kwargs):
    raise TemporarilyUnavailable


def test_a_code_that_was_guessed_gives_its_finder_nothing_of_the_person():
    """They sign somebody's device in as themselves, and its owner sees that the code is taken."""
    asked = codes()
    answer(make_browser(), asked, subject="mallory")
    assert "wrong or too old" in enter(make_browser(), asked["user_code"]).content.decode()


def test_a_network_has_so_many_devices_that_wait():
    """I16: beyond the cap 429, and nothing of others is dropped."""
    for _ in range(MAX_OF_NETWORK):
        codes()
    refused = ask()
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    assert refused.headers["Retry-After"]
    assert DeviceAuthorization.objects.count() == MAX_OF_NETWORK
    assert ask(address="192.0.2.1").status_code == 200


def test_the_site_has_so_many_devices_that_wait():
    """I16: beyond the cap 503."""
    codes()
    row = DeviceAuthorization.objects.get()
    DeviceAuthorization.objects.bulk_create(
        DeviceAuthorization(
            device_digest=f"{number:064}",
            user_digest=f"{number:064}",
            client=row.client,
            network=f"192.0.{number % 250}.0/24",
            interval=5,
            next_poll_at=row.next_poll_at,
            expires_at=row.expires_at,
        )
        for number in range(MAX_IN_ALL - 1)
    )
    refused = ask(address="203.0.113.99")
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert DeviceAuthorization.objects.count() == MAX_IN_ALL


def test_devices_that_can_come_to_nothing_keep_nobody_out():
    """Without the sweep, too."""
    for _ in range(MAX_OF_NETWORK):
        codes()
    some = DeviceAuthorization.objects.order_by("pk").values_list("pk", flat=True)
    DeviceAuthorization.objects.filter(pk__in=list(some[:2])).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    DeviceAuthorization.objects.filter(pk__in=list(some[2:4])).close(DeviceStatus.DENIED)
    assert ask().status_code == 200
    assert DeviceAuthorization.objects.count() == MAX_OF_NETWORK - 4 + 1


def test_a_flood_of_polls_writes_one_row_and_answers_slow_down():
    asked = codes()
    answers = {poll(asked).json()["error"] for _ in range(30)}
    assert answers == {"authorization_pending", "slow_down"}
    assert DeviceAuthorization.objects.get().interval == 60


def test_polls_of_one_who_is_no_client_change_nothing():
    asked = codes()
    before = DeviceAuthorization.objects.values().get()
    assert poll(asked, "nobody").status_code == 401
    assert DeviceAuthorization.objects.values().get() == before


def test_a_scanner_that_follows_the_link_spends_nothing():
    """I23: HEAD, and what browsers fetch ahead."""
    asked, browser = codes(), make_browser()
    url = f"/device?user_code={asked['user_code']}"
    assert browser.head(url, secure=True).status_code == 200
    assert browser.get(url, secure=True, headers={"sec-purpose": "prefetch"}).status_code == 403
    assert not browser.cookies
    assert DeviceAuthorization.objects.get().status == DeviceStatus.WAITING
