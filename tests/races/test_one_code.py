"""Many redemptions of one code at once: one answer, one family, and a copy is noticed."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from oauth2_provider.models import RefreshToken

from django_lazyauth.models import PendingAuthorization, Status
from tests.races.rows import assert_nothing_lives, each, rows
from tests.support.journey import code_for, get, make_browser, post_form, redeem
from tests.support.processes import together, until
from tests.support.providers import BelievingProvider

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def redeem_at_once(client, code, *, times):
    answers = together(*[partial(redeem, client, code)] * times)
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: times - 1}
    refused = [answer.json()["error"] for answer in answers if answer.status_code == 400]
    assert set(refused) == {"invalid_grant"}
    return next(answer for answer in answers if answer.status_code == 200)


def test_i1_of_fifty_redemptions_one_is_answered_and_one_family_begins(client_):
    """I1, and I2 for the tokens of the one: the others were replays."""
    code = code_for(client_)
    redeem_at_once(client_, code, times=50)
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.EXCHANGED
    assert pending.failed_attempts == 0
    assert RefreshToken.objects.values_list("token_family", flat=True).get() == pending.session_id
    assert BelievingProvider.finalized == [str(pending.session_id)]
    assert_nothing_lives(pending.session_id)
    assert rows() == each(1, vault=0, access=0)


def test_i1_holds_twenty_times_in_a_row(client_):
    """I1, for new people and for some who come again: of them no unique name would stop a second redemption."""
    for number in range(20):
        code = code_for(client_, subject=f"person{number // 2}")
        redeem_at_once(client_, code, times=8)
        assert RefreshToken.objects.count() == number + 1
    assert len(set(RefreshToken.objects.values_list("token_family", flat=True))) == 20
    assert len(BelievingProvider.finalized) == 20
    assert rows()["users"] == rows()["identities"] == 10


def test_i1_a_redemption_that_finds_the_code_in_use_waits_and_is_refused(client_, waiting):
    """I1: the second comes while the first holds the row, its user written and not committed."""
    code = code_for(client_)
    first_is_inside = []

    def wait_for_the_second():
        first_is_inside.append(True)
        until(lambda: waiting() == 1)

    def come_second():
        until(lambda: first_is_inside)
        return redeem(client_, code)

    BelievingProvider.before_finalize.append(wait_for_the_second)
    first, second = together(partial(redeem, client_, code), come_second)
    assert (first.status_code, second.status_code) == (200, 400)
    assert second.json()["error"] == "invalid_grant"
    assert len(first_is_inside) == 1
    assert_nothing_lives(PendingAuthorization.objects.get().session_id)


def test_i1_after_a_failed_redemption_the_one_that_waited_gets_the_answer(client_, waiting):
    """I1, I3: the first is rolled back while the second waits for the row."""
    code = code_for(client_)
    inside = []

    def fail_once():
        inside.append(True)
        if len(inside) == 1:
            until(lambda: waiting() == 1)
            raise RuntimeError

    def come_second():
        until(lambda: inside)
        return redeem(client_, code)

    BelievingProvider.before_finalize.append(fail_once)
    first, second = together(partial(redeem, client_, code), come_second)
    assert (first.status_code, second.status_code) == (500, 200)
    assert rows() == each(1)


def test_i2_a_later_replay_leaves_nothing_live(client_):
    """I2."""
    code = code_for(client_)
    body = redeem(client_, code).json()
    pending = PendingAuthorization.objects.get()
    assert rows() == each(1)
    answers = together(*[partial(redeem, client_, code)] * 8)
    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["error"] for answer in answers} == {"invalid_grant"}
    assert_nothing_lives(pending.session_id)
    assert_tokens_fail(client_, body)


def test_i2_a_replay_that_meets_a_refresh_leaves_nothing_live(client_):
    """I2: whichever of the two comes first. Several rounds, as nothing makes one of them come first."""
    for number in range(10):
        code = code_for(client_, subject=f"person{number}")
        body = redeem(client_, code).json()
        session_id = PendingAuthorization.objects.get(user__isnull=False, resumed_at=None).session_id
        refreshed, replay = together(
            partial(refresh, client_, body["refresh_token"]), partial(redeem, client_, code)
        )
        assert replay.status_code == 400
        assert refreshed.status_code in {200, 400}
        assert_nothing_lives(session_id)
        assert_tokens_fail(client_, body)
        if refreshed.status_code == 200:
            assert_tokens_fail(client_, refreshed.json())
        PendingAuthorization.objects.all().delete()


def refresh(client, refresh_token):
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.client_id}
    return post_form(make_browser(), "/token", form)


def assert_tokens_fail(client, body):
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
    refreshed = refresh(client, body["refresh_token"])
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")
