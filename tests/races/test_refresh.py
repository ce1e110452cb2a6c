"""Many refreshes with one refresh token at once: one successor, and no 500."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.db import connection
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import PendingAuthorization, SealedSuccessor
from django_lazyauth.models.fields import digest
from tests.races.rows import assert_nothing_lives
from tests.support.journey import code_for, get, make_browser, post_form, redeem
from tests.support.processes import PATIENCE, together, until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def refresh(client, refresh_token):
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.client_id}
    return post_form(make_browser(), "/token", form)


@pytest.mark.parametrize("times", [2, 24])
def test_i10_refreshes_at_once_have_one_successor(client_, times):
    """I10: all are told the same."""
    for number in range(3):
        body = redeem(client_, code_for(client_, subject=f"person{number}")).json()
        answers = together(*[partial(refresh, client_, body["refresh_token"])] * times)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
        assert RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False).count() == 1
        # The one that was replaced is good until it expires.
        assert AccessToken.objects.count() == 2
        RefreshToken.objects.all().delete()
        AccessToken.objects.all().delete()


def test_i10_one_who_waited_for_the_first_gets_its_answer(client_, waiting):
    """I10: the second comes while the first holds the token, its successor written and not committed."""
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    pause = Pause()

    def come_second():
        assert pause.reached.wait(PATIENCE)
        return refresh(client_, token)

    def direct():
        assert pause.reached.wait(PATIENCE)
        until(lambda: waiting() == 1)
        pause.released.set()

    first, second, _ = together(
        lambda: pause.before_commit(partial(refresh, client_, token)), come_second, direct
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content


@pytest.fixture(params=["REPEATABLE READ", "SERIALIZABLE"])
def stricter(request):
    """A host that chose another isolation level than Django's default."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])

    def set_default(statement):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} {statement}")
        connection.close()

    set_default(f"SET default_transaction_isolation = '{request.param}'")
    yield
    set_default("RESET default_transaction_isolation")


@pytest.mark.usefixtures("stricter")
def test_i10_refreshes_at_once_have_one_successor_also_on_a_stricter_host(client_):
    """I10, I18: there the database gives up whoever waited, and the next try finds what the first did."""
    for number in range(5):
        token = redeem(client_, code_for(client_, subject=f"person{number}")).json()["refresh_token"]
        answers = together(*[partial(refresh, client_, token)] * 8)
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len({answer.content for answer in answers}) == 1


@pytest.mark.usefixtures("stricter")
def test_i11_a_refresh_that_meets_a_revocation_leaves_no_live_token_on_a_stricter_host_either(client_):
    """I11, I18."""
    for number in range(20):
        token = redeem(client_, code_for(client_, subject=f"person{number % 5}")).json()["refresh_token"]
        assert_a_revocation_among_refreshes_ends_the_session(client_, token)


def revoke(client, token):
    return post_form(make_browser(), "/revoke_token", {"token": token, "client_id": client.client_id})


def assert_answers_are_dead(client, answers):
    """I11: whatever was told while the revocation went on opens nothing after it."""
    for answer in answers:
        assert answer.status_code in {200, 400}, answer.content
        if answer.status_code == 400:
            assert answer.json()["error"] == "invalid_grant"
            continue
        bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
        assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
        assert refresh(client, answer.json()["refresh_token"]).status_code == 400


def assert_a_revocation_among_refreshes_ends_the_session(client, token):
    session_id = RefreshToken.objects.get(token_checksum=digest(token)).token_family
    *answers, revoked = together(
        partial(refresh, client, token), partial(refresh, client, token), partial(revoke, client, token)
    )
    assert revoked.status_code == 200
    assert_nothing_lives(session_id)
    assert not SealedSuccessor.objects.filter(family=session_id).exists()
    assert_answers_are_dead(client, answers)
    assert refresh(client, token).status_code == 400


@pytest.mark.timeout(600)
def test_i11_a_refresh_that_meets_a_revocation_leaves_no_live_token(client_):
    """I11: a hundred times, a first use and a retry against the revocation."""
    for number in range(100):
        token = redeem(client_, code_for(client_, subject=f"person{number % 10}")).json()["refresh_token"]
        assert_a_revocation_among_refreshes_ends_the_session(client_, token)


@pytest.mark.parametrize("is_cleared", [False, True])
def test_i11_a_retry_that_waited_for_the_end_of_its_session_is_refused(client_, waiting, is_cleared):
    """I11: the successor is there when the retry looks for it, and gone when it may read it.

    The end of a session locks a spent token by the access token that it points to, which may have been cleared away.
    """
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    assert refresh(client_, token).status_code == 200
    if is_cleared:
        RefreshToken.objects.filter(revoked__isnull=False).update(access_token=None)
    ending = Pause()

    def retry():
        assert ending.reached.wait(PATIENCE)
        return refresh(client_, token)

    def direct():
        assert ending.reached.wait(PATIENCE)
        until(lambda: waiting() == 1)
        ending.released.set()

    revoked, retried, _ = together(
        lambda: ending.before_commit(partial(revoke, client_, token)), retry, direct
    )
    assert (revoked.status_code, retried.status_code) == (200, 400)
    assert retried.json()["error"] == "invalid_grant"


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
