"""Whatever fails in a refresh: nothing half-written stands, and the client can try again (I10, I18)."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.signals import post_delete, post_save
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.kit.retry import ATTEMPTS, is_conflict
from django_lazyauth.models import PendingAuthorization, SealedSuccessor, UpstreamToken
from django_lazyauth.toolkit.signals import app_authorized
from tests.grants.test_faults import (
    CANARY,
    FailAt,
    assert_json_and_not_kept,
    assert_refused,
    assert_server_error,
)
from tests.grants.test_rotation import refresh, refresh_form
from tests.races.rows import assert_nothing_lives
from tests.support.journey import get, make_browser, post_form, redeem
from tests.support.recorded import code_for
from tests.web.site import change_client

pytestmark = pytest.mark.django_db(transaction=True)

WRITTEN = (AccessToken, RefreshToken, IDToken, SealedSuccessor)


def state():
    """Return everything that a refresh writes, as it stands."""
    return [list(model.objects.order_by("pk").values()) for model in WRITTEN]


def session_of(client, n):
    return redeem(client, code_for(client, subject=f"person{n}")).json()["refresh_token"]


FAULTS = [
    pytest.param(OperationalError(CANARY), False, id="the database, once"),
    pytest.param(InterfaceError(CANARY), True, id="the database, from there on"),
    pytest.param(RuntimeError(CANARY), False, id="something else"),
]


@pytest.mark.parametrize(("error", "lasting"), FAULTS)
def test_i10_a_failure_at_any_statement_writes_nothing_and_the_token_stays_good(client_, error, lasting):
    """Each statement of the refresh fails in turn."""
    token = session_of(client_, 1)
    for n in itertools.count(1):
        before = state()
        fault = FailAt(n, error, lasting=lasting)
        with connection.execute_wrapper(fault):
            answer = refresh(client_, token)
        if not fault.fired:
            assert answer.status_code == 200
            break
        assert_server_error(answer)
        assert state() == before
        answer = refresh(client_, token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    assert n > 2


def test_i10_a_commit_that_fails_writes_nothing_and_the_token_stays_good(client_, monkeypatch):
    token = session_of(client_, 1)
    before = state()

    def fail():
        raise OperationalError(CANARY)

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", fail)
        assert_server_error(refresh(client_, token))
    assert state() == before
    assert refresh(client_, token).status_code == 200


def test_a_script_can_read_the_answer_wherever_the_database_fails(client_):
    """Fetch, CORS: whose scripts may read it is decided first, so what was written is told."""
    form = refresh_form(client_, session_of(client_, 1))
    for n in itertools.count(1):
        fault = FailAt(n, OperationalError(CANARY), lasting=True)
        with connection.execute_wrapper(fault):
            answer = post_form(make_browser(), "/token", form, headers={"origin": "https://client.example"})
        assert answer.status_code == (503 if fault.fired else 200)
        assert_json_and_not_kept(answer)
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://client.example")
        if not fault.fired:
            break


@pytest.mark.parametrize(("error", "lasting"), FAULTS)
def test_i10_a_failure_at_any_statement_of_a_retry_changes_nothing(client_, error, lasting):
    token = session_of(client_, 1)
    answer = refresh(client_, token)
    for n in itertools.count(1):
        before = state()
        fault = FailAt(n, error, lasting=lasting)
        with connection.execute_wrapper(fault):
            again = refresh(client_, token)
        if not fault.fired:
            assert again.content == answer.content
            break
        assert_server_error(again)
        assert state() == before
        assert refresh(client_, token).content == answer.content
    assert n > 3


def test_i11_a_replay_whose_session_cannot_be_ended_is_an_error_and_the_next_replay_ends_it(
    client_, lazyauth
):
    """I10, I11: every statement of the replay fails in turn; no rollback ever brings the family back."""
    lazyauth(REFRESH_GRACE=0)
    for n in itertools.count(1):
        token = session_of(client_, n)
        session_id = RefreshToken.objects.latest("pk").token_family
        assert refresh(client_, token).status_code == 200
        fault = FailAt(n, OperationalError(CANARY))
        with connection.execute_wrapper(fault):
            answer = refresh(client_, token)
        if fault.fired:
            assert_server_error(answer)
            answer = refresh(client_, token)
        assert_refused(answer)
        assert_nothing_lives(session_id)
        if not fault.fired:
            break
    assert n > 3


def test_i11_where_every_request_is_a_transaction_a_replay_ends_the_session_too(
    client_, lazyauth, monkeypatch
):
    """``ATOMIC_REQUESTS``, with an error answer: nothing is rolled back."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    token = session_of(client_, 1)
    assert refresh(client_, token).status_code == 200
    assert refresh(client_, token).status_code == 200
    lazyauth(REFRESH_GRACE=0)
    assert_refused(refresh(client_, token))
    assert_nothing_lives(PendingAuthorization.objects.get().pk)
    assert not UpstreamToken.objects.exists()


@pytest.mark.parametrize("name", ["refresh_token", "access_token"])
def test_i11_a_revocation_that_fails_says_so_and_the_next_one_ends_the_session(client_, name):
    """RFC 7009 §2.2.1: after a 503 the client must assume that the token still exists, and may try again."""
    for n in itertools.count(1):
        body = redeem(client_, code_for(client_, subject=f"person{n}")).json()
        session_id = RefreshToken.objects.latest("pk").token_family
        form = {"token": body[name], "client_id": client_.client_id}
        fault = FailAt(n, OperationalError(CANARY))
        with connection.execute_wrapper(fault):
            answer = post_form(make_browser(), "/revoke_token", form)
        if fault.fired:
            assert (answer.status_code, answer.json()) == (503, {"error": "temporarily_unavailable"})
            assert_json_and_not_kept(answer)
            answer = post_form(make_browser(), "/revoke_token", form)
        assert answer.status_code == 200
        assert_nothing_lives(session_id)
        if not fault.fired:
            break
    assert n > 3


@pytest.mark.parametrize(("error", "lasting"), FAULTS)
def test_i18_a_failure_of_client_credentials_is_an_error_in_json(confidential, error, lasting):
    """RFC 6749 §5.2."""
    change_client(confidential, authorization_grant_type="client-credentials")
    form = {
        "grant_type": "client_credentials",
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
        "scope": "profile",
    }
    for n in itertools.count(1):
        AccessToken.objects.all().delete()
        fault = FailAt(n, error, lasting=lasting)
        with connection.execute_wrapper(fault):
            answer = post_form(make_browser(), "/token", form)
        if not fault.fired:
            assert answer.status_code == 200
            break
        assert_server_error(answer)
        assert AccessToken.objects.count() == 0
    assert n > 2


def test_a_hook_after_the_commit_that_fails_does_not_take_the_answer_back(client_, lazyauth):
    """What is committed is told, also where no grace would bring it back."""
    lazyauth(REFRESH_GRACE=0)
    token = session_of(client_, 1)

    def fail():
        raise RuntimeError(CANARY)

    def receive(sender, **kwargs):
        transaction.on_commit(fail)

    post_save.connect(receive, sender=RefreshToken)
    try:
        answer = refresh(client_, token)
    finally:
        post_save.disconnect(receive, sender=RefreshToken)
    assert answer.status_code == 200
    assert refresh(client_, answer.json()["refresh_token"]).status_code == 200


def test_the_toolkits_own_signal_is_sent_once_for_a_refresh_and_its_retries(client_):
    """``app_authorized``: nobody was authorized anew by a retry."""
    token = session_of(client_, 1)
    heard = []

    def receive(sender, request, token, **kwargs):
        heard.append(token.pk)
        raise RuntimeError

    app_authorized.connect(receive)
    try:
        assert refresh(client_, token).status_code == 200
        assert refresh(client_, token).status_code == 200
    finally:
        app_authorized.disconnect(receive)
    assert heard == [AccessToken.objects.latest("pk").pk]


def test_receivers_of_djangos_own_signals_hear_of_every_row(client_):
    """A host may listen to the token models as it does beside DOT."""
    token = session_of(client_, 1)
    heard = []

    def saved(sender, instance, created, **kwargs):
        heard.append((sender, created))

    def deleted(sender, instance, **kwargs):
        heard.append((sender, instance.pk))

    for model in (IDToken, RefreshToken, AccessToken):
        post_save.connect(saved, sender=model)
    post_delete.connect(deleted, sender=AccessToken)
    try:
        assert refresh(client_, token).status_code == 200
    finally:
        for model in (IDToken, RefreshToken, AccessToken):
            post_save.disconnect(saved, sender=model)
        post_delete.disconnect(deleted, sender=AccessToken)
    assert heard == [
        (IDToken, True),
        (RefreshToken, False),
        (AccessToken, True),
        (RefreshToken, True),
    ]


def test_i13_a_failure_logs_nothing_of_the_tokens(confidential, caplog):
    """At DEBUG, of every logger; neither the error's text nor what was sealed."""
    token = session_of(confidential, 1)
    answer = refresh(confidential, token).json()
    secrets = [token, CANARY, confidential.client_secret, SealedSuccessor.objects.get().sealed]
    secrets += [answer[name] for name in ("access_token", "refresh_token", "id_token")]
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        for n in range(1, 12):
            with connection.execute_wrapper(FailAt(n, OperationalError(" ".join(secrets)))):
                refresh(confidential, answer["refresh_token"])
                refresh(confidential, token)
    told = caplog.text + repr([vars(record) for record in caplog.records])
    assert "OperationalError" in told
    for secret in secrets:
        assert secret not in told


class Cause(Exception):
    sqlstate = ""


def caused_by(cause, *args):
    error = OperationalError(*args)
    error.__cause__ = cause
    return error


def test_what_another_transaction_undid_is_tried_again(client_):
    """I18: the database gave this transaction up for another one's sake, now and then."""

    class Serialization(Cause):
        sqlstate = "40001"

    for times in (1, ATTEMPTS - 1, ATTEMPTS):
        token = session_of(client_, times)
        seen = []

        def fail(execute, sql, params, many, context, times=times, seen=seen):
            table = connection.ops.quote_name(RefreshToken._meta.db_table)
            if f"UPDATE {table}" in sql and len(seen) < times:
                seen.append(sql)
                raise caused_by(Serialization())
            return execute(sql, params, many, context)

        before = state()
        with connection.execute_wrapper(fail):
            answer = refresh(client_, token)
        if times < ATTEMPTS:
            assert answer.status_code == 200
        else:
            assert_server_error(answer)
            assert state() == before
            assert refresh(client_, token).status_code == 200


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_lost_race_is_told_from_a_lost_connection(sqlstate):
    class Lost(Cause):
        pass

    lost = Lost()
    lost.sqlstate = sqlstate
    assert is_conflict(caused_by(lost))
    lost.sqlstate = "57P01"
    assert not is_conflict(caused_by(lost))
    assert is_conflict(OperationalError(1213, "Deadlock found"))
    assert not is_conflict(OperationalError(2006, "Server has gone away"))
    assert not is_conflict(OperationalError())
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT"
    assert is_conflict(caused_by(busy))


@pytest.mark.parametrize("is_by_sql", [False, True])
def test_a_session_whose_access_token_was_cleared_away_is_over(client_, is_by_sql):
    """DOT's ``cleartokens`` and a host may delete access tokens: what is left refreshes nothing, and is no 500."""
    token = session_of(client_, 1)
    if is_by_sql:
        # No signal tells of it, so nothing ended: the refresh token is an orphan.
        RefreshToken.objects.update(access_token=None)
    AccessToken.objects.all().delete()
    assert_refused(refresh(client_, token))
    assert get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_a_grace_may_be_a_timedelta(client_, lazyauth):
    lazyauth(REFRESH_GRACE=timedelta(seconds=5))
    token = session_of(client_, 1)
    refresh(client_, token)
    kept = SealedSuccessor.objects.get()
    assert kept.expires_at - kept.created_at == timedelta(seconds=5)
