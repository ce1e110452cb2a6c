"""One refresh token, many processes: one successor, one answer, and then the end of the family (I10, I11)."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest
from django.db import connection
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.models import PendingAuthorization, SealedSuccessor, UpstreamToken
from tests.races.rows import assert_nothing_lives
from tests.support.journey import code_for, get, make_browser, post_form, redeem
from tests.support.racers import racer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL as a service: set LAZYAUTH_TEST_DATABASE=postgresql")


def at_once(*jobs):
    """Send the (path, form) pairs of each job from a process of its own; return the answers, job by job."""
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="post", posts=posts)) for posts in jobs]
        for one in racers:
            one.go()
        return [one.result() for one in racers]


def refresh_form(client, token):
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.client_id}


def assert_one_successor_and_then_the_end(client, lazyauth, *, processes, threads):
    # A busy machine may take longer than thirty seconds to answer them all.
    lazyauth(REFRESH_GRACE=90)
    token = redeem(client, code_for(client)).json()["refresh_token"]
    post = ("/token", refresh_form(client, token))
    answers = [answer for job in at_once(*[[post] * threads] * processes) for answer in job]
    assert len(answers) == processes * threads
    assert {status for status, _ in answers} == {200}, answers
    assert len({body for _, body in answers}) == 1
    session_id = PendingAuthorization.objects.get().pk
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1
    assert RefreshToken.objects.count() == 2
    assert SealedSuccessor.objects.count() == UpstreamToken.objects.count() == 1
    # The one that was replaced is good until it expires.
    assert AccessToken.objects.count() == 2
    assert IDToken.objects.count() == 2
    told = json.loads(answers[0][1])
    bearer = {"authorization": f"Bearer {told['access_token']}"}
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 200

    # Thirty seconds later, made short: the grace in force is what counts, and this time really passes.
    lazyauth(REFRESH_GRACE=1)
    time.sleep(1.1)
    replayed = post_form(make_browser(), *post)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert_nothing_lives(session_id)
    assert (
        SealedSuccessor.objects.count() == UpstreamToken.objects.count() == AccessToken.objects.count() == 0
    )
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
    successor = post_form(make_browser(), "/token", refresh_form(client, told["refresh_token"]))
    assert (successor.status_code, successor.json()["error"]) == (400, "invalid_grant")


@pytest.mark.services
@pytest.mark.timeout(600)
def test_i10_two_hundred_refreshes_of_four_processes_have_one_successor(client_, postgresql, lazyauth):
    """Done when 1: 200 identical answers, no 500, the family lives; after the grace it is gone, in real time."""
    assert_one_successor_and_then_the_end(client_, lazyauth, processes=4, threads=50)


@pytest.mark.slow
def test_i10_forty_refreshes_of_two_processes_have_one_successor(client_, lazyauth):
    """The same where there is no server: on SQLite one process writes at a time."""
    assert_one_successor_and_then_the_end(client_, lazyauth, processes=2, threads=20)


@pytest.mark.services
@pytest.mark.timeout(600)
def test_i11_refreshes_and_revocations_of_different_processes_leave_no_live_token(client_, postgresql):
    """Done when 1, I11: a hundred families, each refreshed here while it is revoked there."""
    tokens = [
        redeem(client_, code_for(client_, subject=f"person{number % 10}")).json()["refresh_token"]
        for number in range(100)
    ]
    for part in (tokens[:50], tokens[50:]):
        refreshed, revoked = at_once(
            [("/token", refresh_form(client_, token)) for token in part],
            [("/revoke_token", {"token": token, "client_id": client_.client_id}) for token in part],
        )
        assert {status for status, _ in revoked} == {200}, revoked
        assert {status for status, _ in refreshed} <= {200, 400}, refreshed
        for status, body in refreshed:
            if status == 200:
                bearer = {"authorization": f"Bearer {json.loads(body)['access_token']}"}
                assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
    assert not RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False).exists()
    assert (
        AccessToken.objects.count() == UpstreamToken.objects.count() == SealedSuccessor.objects.count() == 0
    )
