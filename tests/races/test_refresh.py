"""Many refreshes with one refresh token at once: one successor, and no 500."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.db import connection
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import PendingAuthorization
from tests.races.rows import assert_nothing_lives
from tests.support.journey import code_for, make_browser, post_form, redeem
from tests.support.processes import PATIENCE, together, until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def refresh(client, refresh_token):
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.client_id}
    return post_form(make_browser(), "/token", form)


@pytest.mark.parametrize("times", [2, 24])
def test_refreshes_at_once_have_one_successor(client_, times):
    """I10. All who are answered are told the same successor."""
    for number in range(3):
        body = redeem(client_, code_for(client_, subject=f"person{number}")).json()
        answers = together(*[partial(refresh, client_, body["refresh_token"])] * times)
        assert {answer.status_code for answer in answers} <= {200, 400}
        bodies = [answer.json() for answer in answers]
        assert {body["error"] for body in bodies if "error" in body} <= {"invalid_grant"}
        assert len({body["refresh_token"] for body in bodies if "refresh_token" in body}) == 1
        assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
        unconsumed = RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False)
        assert unconsumed.count() <= 1
        assert AccessToken.objects.count() <= 1
        RefreshToken.objects.all().delete()
        AccessToken.objects.all().delete()


class Pause:
    """A place where one thread stands until another lets it go on."""

    def __init__(self):
        self.reached, self.released = threading.Event(), threading.Event()

    def stand(self):
        self.reached.set()
        assert self.released.wait(PATIENCE)

    def before_commit(self, action):
        """Run *action*; it stands before its first COMMIT."""
        commit = connection.commit

        def commit_later():
            connection.commit = commit
            self.stand()
            commit()

        connection.commit = commit_later
        return action()

    def before_statement(self, number, action):
        """Run *action*; it stands before the *number*-th statement after its first UPDATE of refresh tokens."""
        seen = []

        def wrapper(execute, sql, params, many, context):
            if seen or sql.startswith(f'UPDATE "{RefreshToken._meta.db_table}"'):
                seen.append(sql)
            if len(seen) == number + 1:
                self.stand()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            return action()


def test_i2_the_successor_of_a_refresh_that_met_the_end_of_its_session_is_dead(client_, waiting):
    """I2, I11: a replay waits for a refresh; the successor is presented before the replay has committed."""
    code = code_for(client_)
    first = redeem(client_, code).json()["refresh_token"]
    refreshing, ending = Pause(), Pause()

    def go_on():
        assert refreshing.reached.wait(PATIENCE)
        until(lambda: waiting() == 1)
        refreshing.released.set()
        assert ending.reached.wait(PATIENCE)
        refreshed.wait(PATIENCE)
        second = RefreshToken.objects.filter(revoked__isnull=True).get()
        assert second.access_token_id
        return together(partial(refresh, client_, told[0]), release_when_it_waits)[0]

    def release_when_it_waits():
        until(lambda: waiting() == 1)
        ending.released.set()

    told, refreshed = [], threading.Event()

    def refresh_first():
        answer = refreshing.before_commit(partial(refresh, client_, first))
        told.append(answer.json()["refresh_token"])
        refreshed.set()

    def replay():
        assert refreshing.reached.wait(PATIENCE)
        return ending.before_commit(partial(redeem, client_, code))

    _, replayed, last = together(refresh_first, replay, go_on)
    assert replayed.status_code == 400
    assert last.status_code == 400
    assert last.json()["error"] == "invalid_grant"
    assert_nothing_lives(PendingAuthorization.objects.get().pk)


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_i2_a_chain_of_refreshes_does_not_outrun_the_end_of_its_session(client_, waiting, statement):
    """I2, I11: two refreshes in a row come between the statements that end the session."""
    code = code_for(client_)
    first = redeem(client_, code).json()["refresh_token"]
    refreshing, ending, again = Pause(), Pause(), Pause()
    told, refreshed = [], threading.Event()

    def refresh_first():
        answer = refreshing.before_commit(partial(refresh, client_, first))
        told.append(answer.json()["refresh_token"])
        refreshed.set()

    def replay():
        assert refreshing.reached.wait(PATIENCE)
        return ending.before_statement(statement, partial(redeem, client_, code))

    def refresh_again():
        assert refreshed.wait(PATIENCE)
        assert ending.reached.wait(PATIENCE)
        return again.before_commit(partial(refresh, client_, told[0]))

    def direct():
        assert refreshing.reached.wait(PATIENCE)
        until(lambda: waiting() == 1)
        refreshing.released.set()
        assert ending.reached.wait(PATIENCE)
        until(lambda: again.reached.is_set() or waiting() == 1)
        ending.released.set()
        until(lambda: waiting() == 1 or not again.reached.is_set())
        again.released.set()

    _, replayed, *_ = together(refresh_first, replay, refresh_again, direct)
    assert replayed.status_code == 400
    assert_nothing_lives(PendingAuthorization.objects.get().pk)
