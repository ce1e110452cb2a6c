"""COMMIT of a token request is done, and its acknowledgement is lost: nobody is told a failure that was none (I22)."""

from __future__ import annotations

import logging
import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError, connection
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.signals import finalize_failed
from django_lazyauth.toolkit.signals import app_authorized
from tests.grants.test_faults import assert_refused, assert_server_error
from tests.grants.test_rotation import refresh
from tests.races.rows import NOTHING, assert_nothing_lives, each, rows
from tests.support.faults import QUOTED, Fault, injected
from tests.support.journey import get, make_browser, redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db(transaction=True)

CUTS = pytest.mark.parametrize("cuts", [False, True], ids=["error", "connection cut"])


@pytest.fixture
def told():
    """What receivers were told: the classes of failed exchanges, and the keys of access tokens."""
    heard = {"failed": [], "authorized": []}

    def failed(sender, error_class, **kwargs):
        heard["failed"].append(error_class)

    def authorized(sender, token, **kwargs):
        heard["authorized"].append(token.pk)

    finalize_failed.connect(failed)
    app_authorized.connect(authorized)
    yield heard
    finalize_failed.disconnect(failed)
    app_authorized.disconnect(authorized)


def works(body) -> bool:
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    return get(make_browser(), "/userinfo", headers=bearer).status_code == 200


def assert_unavailable(answer):
    assert_server_error(answer)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


# -- it was done ---------------------------------------------------------------------------------------------------


@CUTS
def test_i22_an_exchange_whose_commit_is_not_acknowledged_is_answered(client_, told, cuts, caplog):
    """I1, I22: an error would make a replay of the client's next try."""
    code = code_for(client_)
    with injected(Fault(1, when="after_commit", cuts=cuts)) as fault:
        answer = redeem(client_, code)
    assert fault.fired
    assert answer.status_code == 200, answer.content
    assert works(answer.json())
    assert rows() == each(1)
    assert told == {"failed": [], "authorized": [AccessToken.objects.get().pk]}
    assert refresh(client_, answer.json()["refresh_token"]).status_code == 200
    assert PendingAuthorization.objects.get().failed_attempts == 0
    assert "was not acknowledged, and was done: OperationalError" in caplog.text
    assert QUOTED not in caplog.text


@CUTS
@pytest.mark.parametrize("grace", [30, 0])
def test_i22_a_refresh_whose_commit_is_not_acknowledged_is_answered(client_, lazyauth, grace, cuts):
    """I10, I22: without a grace the next try would be a replay."""
    lazyauth(REFRESH_GRACE=grace)
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    with injected(Fault(1, when="after_commit", cuts=cuts)) as fault:
        answer = refresh(client_, token)
    assert fault.fired
    assert answer.status_code == 200, answer.content
    assert works(answer.json())
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1
    assert refresh(client_, answer.json()["refresh_token"]).status_code == 200


def test_i22_a_commit_that_is_still_under_way_is_waited_for(client_, monkeypatch):
    """The connection broke while the server waited for its disk."""
    code, threads = code_for(client_), []

    def commit_later():
        raw, connection.connection = connection.connection, None
        timer = threading.Timer(0.3, lambda: (raw.commit(), raw.close()))
        timer.start()
        threads.append(timer)
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", commit_later)
        answer = redeem(client_, code)
    threads[0].join()
    assert answer.status_code == 200, answer.content
    assert works(answer.json())


@pytest.mark.services
def test_i22_the_broken_connection_is_not_asked(client_, monkeypatch):
    """A driver may raise what Django takes for no error of the database, and does not close the connection for."""
    if connection.vendor != "postgresql":
        pytest.skip("service: runs on PostgreSQL, LAZYAUTH_TEST_DATABASE=postgresql")
    code, commit = code_for(client_), connection._commit

    def commit_and_break():
        commit()
        connection.connection.close()
        raise InterfaceError

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", commit_and_break)
        answer = redeem(client_, code)
    assert answer.status_code == 200, answer.content
    assert works(answer.json())


# -- it was not, or nobody knows -----------------------------------------------------------------------------------


@CUTS
def test_a_commit_that_never_arrives_is_an_error_and_the_code_stays_good(client_, told, cuts, caplog):
    code = code_for(client_)
    with injected(Fault(1, when="before_commit", cuts=cuts)):
        assert_unavailable(redeem(client_, code))
    assert rows() == NOTHING
    assert told == {"failed": ["OperationalError"], "authorized": []}
    assert "was rolled back: OperationalError" in caplog.text
    assert redeem(client_, code).status_code == 200


def test_i22_where_nobody_knows_the_log_says_so_and_the_next_try_leaves_nothing_alive(client_, told, caplog):
    """I1, I2, I22: nobody tells that try from a replay. The client begins anew, and nothing is left over."""
    caplog.set_level(logging.INFO)
    code = code_for(client_)
    with injected(Fault(1, when="after_commit", lasting=True)):
        assert_unavailable(redeem(client_, code))
    assert "it is not known whether it was committed: OperationalError" in caplog.text
    assert "rolled back" not in caplog.text
    assert told == {"failed": ["OperationalError"], "authorized": []}
    session = PendingAuthorization.objects.get()
    assert (session.status, session.failed_attempts, session.last_error) == (Status.EXCHANGED, 0, "")
    assert_refused(redeem(client_, code))
    assert_nothing_lives(session.pk)
    body = redeem(client_, code_for(client_)).json()
    assert works(body)
    assert get_user_model().objects.count() == 1


def test_i10_where_nobody_knows_the_next_refresh_gets_the_answer(client_):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    with injected(Fault(1, when="after_commit", lasting=True)):
        assert_unavailable(refresh(client_, token))
    answer = refresh(client_, token)
    assert answer.status_code == 200
    assert works(answer.json())
    assert refresh(client_, answer.json()["refresh_token"]).status_code == 200


def test_a_row_that_was_exchanged_keeps_no_count_of_a_failure(client_):
    """I22: the count may reach the database after all."""
    redeem(client_, code_for(client_))
    session = PendingAuthorization.objects.get()
    session.count_failure("OperationalError")
    session.refresh_from_db()
    assert (session.failed_attempts, session.last_error) == (0, "")
