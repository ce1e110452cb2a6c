"""Many polls and many browsers at one device, in processes: one family, one browser (I1, I7)."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from oauth2_provider.models import RefreshToken

from django_lazyauth.models import DeviceAuthorization, DeviceStatus, PendingAuthorization, Status
from django_lazyauth.sessions import end
from tests.conftest import register
from tests.support.devices import CLIENT_ID, DEVICE_CODE, answer, codes, enter, poll
from tests.support.journey import form_of, get, make_browser, post
from tests.support.processes import together, until
from tests.support.providers import BelievingProvider
from tests.support.racers import racer

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

POLLS, PROCESSES = 50, 5


@pytest.fixture(autouse=True)
def _television(db, lazyauth):
    lazyauth(DEVICE_FLOW=True)
    register(client_id=CLIENT_ID, authorization_grant_type=DEVICE_CODE, redirect_uris="")


def polled_in_processes(asked) -> list[tuple[int, str]]:
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": CLIENT_ID}
    posts = [["/token", form]] * (POLLS // PROCESSES)
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="post", posts=posts)) for _ in range(PROCESSES)]
        for one in racers:
            one.go()
        return [tuple(answered) for one in racers for answered in one.result()]


def test_i1_of_fifty_polls_after_the_person_allowed_it_one_family_begins():
    """Spec 8.2, and spec 6's grace: all get the same answer."""
    asked = codes()
    answer(make_browser(), asked)
    answers = polled_in_processes(asked)
    assert Counter(status for status, _ in answers) == {200: POLLS}
    assert len({body for _, body in answers}) == 1
    assert RefreshToken.objects.count() == get_user_model().objects.count() == 1
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.failed_attempts) == (Status.EXCHANGED, 0)
    assert RefreshToken.objects.get().token_family == pending.pk
    assert DeviceAuthorization.objects.get().status == DeviceStatus.REDEEMED


def test_fifty_polls_before_that_are_one_that_was_in_time():
    """RFC 8628 §3.5: one UPDATE decides which poll came first, and the others came too soon."""
    asked = codes()
    answers = polled_in_processes(asked)
    assert {status for status, _ in answers} == {400}
    errors = Counter(json.loads(body)["error"] for _, body in answers)
    assert errors["authorization_pending"] == 1
    assert errors["slow_down"] == POLLS - 1
    assert DeviceAuthorization.objects.get().interval <= 60


def test_i7_of_two_browsers_that_claim_a_code_one_has_it():
    """Spec 8.2: by one UPDATE. Ten times, so that both orders come."""
    for _ in range(10):
        # Who comes second typed a code that is none of theirs, and such codes are counted.
        cache.clear()
        asked = codes()
        browsers = [make_browser(), make_browser()]
        pages = [form_of(get(browser, "/device")) for browser in browsers]
        claims = [
            partial(post, browser, action, fields | {"user_code": asked["user_code"]})
            for browser, (action, fields) in zip(browsers, pages, strict=True)
        ]
        first, second = together(*claims)
        assert sorted([first.status_code, second.status_code]) == [200, 303]
        row = DeviceAuthorization.objects.latest("pk")
        assert row.status == DeviceStatus.CLAIMED
        assert (
            PendingAuthorization.objects.filter(grant="device").count() == DeviceAuthorization.objects.count()
        )


def test_i23_the_same_form_many_times_at_once_is_one_flow():
    asked, browser = codes(), make_browser()
    action, fields = form_of(get(browser, "/device"))
    cookies = browser.cookies.output(header="", sep=";")

    def press():
        again = make_browser()
        again.cookies.load(cookies)
        return post(again, action, fields | {"user_code": asked["user_code"]})

    answers = together(*[press] * 8)
    assert {answered.status_code for answered in answers} == {303}
    assert len({answered.headers["Location"] for answered in answers}) == 1
    assert PendingAuthorization.objects.count() == 1


def test_i21_an_end_that_races_the_redemption_leaves_nothing(waiting):
    """The person's flow is ended while the device redeems its code: the redemption is first, and ends too."""
    asked = codes()
    answer(make_browser(), asked)
    pending, inside = PendingAuthorization.objects.get(), []

    def wait_for_the_end():
        inside.append(True)
        until(lambda: waiting() == 1)

    def end_it():
        until(lambda: inside)
        return end.end_flow(pending.pk)

    BelievingProvider.before_finalize.append(wait_for_the_end)
    tokens, _ended = together(partial(poll, asked), end_it)
    assert tokens.status_code == 200
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
    assert poll(asked).json()["error"] == "invalid_grant"


def test_i16_devices_that_come_at_once_do_not_exceed_the_cap():
    posts = [["/device_authorization", {"client_id": CLIENT_ID, "scope": "openid"}]] * 20
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="post", posts=posts)) for _ in range(4)]
        for one in racers:
            one.go()
        answers = [answered for one in racers for answered in one.result()]
    assert set(Counter(status for status, _ in answers)) == {200, 429}
    assert DeviceAuthorization.objects.count() <= 50


def test_i3_a_process_that_dies_in_the_middle_leaves_the_code_redeemable(waiting):
    """Spec 8.2, kill: nothing of the person is written, and the next poll is answered."""
    asked = codes()
    answer(make_browser(), asked)
    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"], "client_id": CLIENT_ID}
    for _ in range(5):
        with racer(work="post", posts=[["/token", form]]) as process:
            process.go()
            process.kill()
        pending = PendingAuthorization.objects.get()
        users = get_user_model().objects.count()
        assert users == RefreshToken.objects.count() == int(pending.status == Status.EXCHANGED)
    assert poll(asked).status_code == 200
    assert get_user_model().objects.count() == RefreshToken.objects.count() == 1
    assert "in use" not in enter(make_browser(), asked["user_code"]).content.decode()
