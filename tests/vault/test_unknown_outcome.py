"""I22: a COMMIT whose acknowledgement is lost, and answers of an upstream that cannot be kept."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError, connection

from django_lazyauth.errors import RefreshExpired, RefreshTransient
from django_lazyauth.models import UpstreamGrant
from django_lazyauth.providers.token_answers import TOKEN_LIMIT
from django_lazyauth.signals import upstream_token_refreshed
from django_lazyauth.upstream import renew as renewing
from tests.support.faults import Fault, injected

pytestmark = pytest.mark.django_db(transaction=True)

#: Longer than any token that is kept.
TOO_LONG = "x" * (TOKEN_LIMIT + 1)


def shortened(value):
    return str(value)[:40]


TABLE = UpstreamGrant._meta.db_table


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(renewing, "WRITE_PAUSE", 0.01)


def writes_tokens(sql: str) -> bool:
    """Say whether a statement writes the answer of an upstream."""
    return sql.startswith(f"UPDATE {connection.ops.quote_name(TABLE)}") and '"access_token"' in sql.replace(
        "`", '"'
    )


def sent(session) -> list[str]:
    return [request["form"]["refresh_token"] for request in session.refreshes()]


# -- a lost acknowledgement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("n", [1, 2])
def test_i22_a_writer_recognises_its_own_row_and_revokes_nothing(session, rotates, n):
    """I22: the COMMIT of the lease (1) or of the answer (2) arrives, and its acknowledgement does not."""
    session.upstream.control(keep_refresh_token=not rotates)
    session.expire()
    told = []

    def listen(version, **_others):
        told.append(version)

    upstream_token_refreshed.connect(listen)
    with injected(Fault(n, when="after_commit")) as fault:
        credential = session.fresh()
    upstream_token_refreshed.disconnect(listen)
    assert fault.fired
    assert told == [2], "its own row is no newer sign-in of somebody else"
    stands = session.bundle()
    assert (credential.access_token, credential.version) == (stands.access_token, 2)
    assert session.upstream.requests("/revoke") == []
    assert len(session.refreshes()) == 1
    assert session.fresh(force=True).version == 3
    assert sent(session)[1] == stands.refresh_token


@pytest.mark.parametrize("n", [1, 2])
def test_a_commit_that_does_not_arrive_is_sent_again(session, n):
    session.expire()
    with injected(Fault(n, when="before_commit")) as fault:
        credential = session.fresh()
    assert fault.fired
    assert credential.access_token == session.bundle().access_token
    assert session.upstream.requests("/revoke") == []
    assert len(session.refreshes()) == 1


def test_i22_what_may_have_been_handed_out_is_never_revoked(session, monkeypatch):
    """I22: our row was committed, read by others, and replaced by a newer sign-in before our retry."""
    session.expire()
    real = time.sleep

    def meanwhile(seconds):
        session.sign_in()
        real(seconds)

    with injected(Fault(2, when="after_commit")):
        monkeypatch.setattr(renewing.time, "sleep", meanwhile)
        credential = session.fresh()
    assert credential.access_token == session.bundle().access_token
    assert session.upstream.requests("/revoke") == []


def test_a_refusal_whose_record_is_not_acknowledged_is_recorded_once(session):
    session.expire()
    session.upstream.control(token_answers=["invalid_grant"])
    with injected(Fault(2, when="after_commit")), pytest.raises(RefreshExpired):
        session.fresh()
    assert session.bundle().is_dead
    assert len(session.refreshes()) == 1


# -- a spent refresh token is never sent again -------------------------------------------------------------------


def assert_asked_to_sign_in(session, code):
    with pytest.raises(RefreshExpired) as caught:
        session.fresh()
    assert caught.value.code == code
    assert session.bundle().is_dead
    with pytest.raises(RefreshExpired):
        session.fresh()
    assert len(session.refreshes()) == 1
    session.upstream.control(claims={}, token={}, token_answers=[])
    session.sign_in(sub="person-1")
    session.fresh(force=True)


def test_a_rotated_answer_about_somebody_else_ends_the_bundle(session):
    """OpenID Connect Core §12.2: the old refresh token is spent, and the new one is not this person's."""
    session.expire()
    session.upstream.control(claims={"sub": "person-2"})
    assert_asked_to_sign_in(session, "subject_changed")


@pytest.mark.parametrize("unusable", [7, ["x"], {"a": 1}, TOO_LONG, "nul\x00", True], ids=shortened)
def test_a_rotated_refresh_token_that_cannot_be_kept_ends_the_bundle(session, unusable):
    session.expire()
    session.upstream.control(token={"refresh_token": unusable})
    assert_asked_to_sign_in(session, "bad_answer")


@pytest.mark.parametrize(
    "broken",
    [
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 7},
        {"access_token": TOO_LONG},
        {"access_token": "nul\x00"},
        {"token_type": "DPoP"},
        {"token_type": 7},
    ],
    ids=shortened,
)
def test_the_new_refresh_token_of_an_unusable_answer_is_kept_and_sent_next(session, broken):
    """What the upstream spent is recorded before the rest of its answer is judged."""
    before = session.expire()
    session.upstream.control(token=broken)
    with pytest.raises(RefreshTransient) as caught:
        session.fresh()
    assert caught.value.code == "bad_answer"
    between = session.bundle()
    assert between.refresh_token not in ("", before.refresh_token)
    assert between.access_token == before.access_token
    session.upstream.control(token={})
    assert session.fresh().access_token == session.bundle().access_token
    assert sent(session) == [before.refresh_token, between.refresh_token]


@pytest.mark.parametrize(
    "odd",
    [
        {"error": None},
        {"error": ""},
        {"error": False},
        {"id_token": 7},
        {"id_token": TOO_LONG},
        {"id_token": "nul\x00"},
        {"scope": 7},
        {"unread": "nul\x00"},
        {"unread": float("1e308")},
        {"token_type": None},
    ],
    ids=shortened,
)
def test_an_odd_member_that_is_not_needed_costs_no_rotated_token(session, odd):
    before = session.expire()
    session.upstream.control(token=odd)
    assert session.fresh().version == 2
    assert session.bundle().refresh_token not in ("", before.refresh_token)
    assert session.bundle().id_token.count(".") == 2


def test_a_newer_sign_in_that_carries_the_spent_token_gets_its_successor(session, monkeypatch):
    """The sign-in came without a refresh token and carried on the one that this refresh had just spent."""
    from tests.vault.test_refresh import Meanwhile

    old = session.expire()
    Meanwhile(monkeypatch, lambda: session.sign_in(omit_refresh_token=True))
    credential = session.fresh()
    stands = session.bundle()
    assert credential.access_token == stands.access_token
    assert stands.refresh_token not in ("", old.refresh_token)
    assert session.upstream.requests("/revoke") == []
    session.upstream.control(omit_refresh_token=False)
    session.fresh(force=True)
    assert sent(session) == [old.refresh_token, stands.refresh_token]


# -- an answer that cannot be written ------------------------------------------------------------------------------


def test_an_answer_without_rotation_that_cannot_be_written_is_handed_out(session):
    session.upstream.control(keep_refresh_token=True)
    before = session.expire()
    with injected(Fault(1, when="before", lasting=True, of=writes_tokens)) as fault:
        credential = session.fresh()
    assert fault.fired
    assert credential.access_token != before.access_token
    assert session.bundle() == before
    assert session.fresh().version == 2


def test_a_rotated_answer_that_cannot_be_written_ends_the_bundle(session):
    """The database answers, and refuses this write for good."""
    session.expire()
    with (
        injected(Fault(1, when="before", lasting=True, of=writes_tokens)),
        pytest.raises(RefreshExpired) as caught,
    ):
        session.fresh()
    assert caught.value.code == "not_written"
    assert session.bundle().is_dead
    with pytest.raises(RefreshExpired):
        session.fresh()
    assert len(session.refreshes()) == 1


def test_a_rotated_answer_is_written_when_the_database_is_back_and_nothing_spent_is_sent(session):
    """The database is gone while the upstream answers."""
    before = session.expire()
    with (
        injected(Fault(2, when="before", lasting=True, of=lambda sql: sql.startswith("UPDATE"))),
        pytest.raises(RefreshTransient) as caught,
    ):
        session.fresh()
    assert caught.value.code == "not_written"
    assert session.bundle().refresh_token == before.refresh_token
    session.rows.update(lease_until=None)
    credential = session.fresh()
    assert (credential.access_token, credential.version) == (session.bundle().access_token, 2)
    assert sent(session) == [before.refresh_token]


def test_an_upstream_failure_is_told_although_the_lease_cannot_be_ended(session):
    session.expire()
    session.upstream.control(token_answers=["500"])
    with (
        injected(Fault(2, when="before", lasting=True, of=lambda sql: sql.startswith("UPDATE"))),
        pytest.raises(RefreshTransient) as caught,
    ):
        session.fresh()
    assert caught.value.code == "http_500"


# -- who waits ----------------------------------------------------------------------------------------------------


def test_followers_wait_as_long_as_the_refresh_may_take(session):
    """Spec 3: a slow upstream is asked once, and everybody gets its answer."""
    session.expire()
    session.upstream.control(delay=3)
    got, errors = [], []

    def ask():
        try:
            got.append(session.fresh().access_token)
        except Exception as error:  # noqa: BLE001 - a thread's error is shown by the assertion
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(got) == {session.bundle().access_token}
    assert len(session.refreshes()) == 1


def test_followers_get_what_could_not_be_written(session):
    """All get the unrotated answer, and none asks again."""
    session.upstream.control(keep_refresh_token=True, delay=0.5)
    session.expire()
    got = []

    def ask():
        with injected(Fault(1, when="before", lasting=True, of=writes_tokens, error=OperationalError)):
            got.append(session.fresh().access_token)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1
    assert len(session.refreshes()) == 1
