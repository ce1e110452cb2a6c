"""Spec 3, fresh when asked: each rule against a real provider that can be told to misbehave."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_lazyauth.errors import BundleNotFound, RefreshExpired, RefreshTransient, RefreshUnavailable
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.providers import code_flow, token_requests
from django_lazyauth.sessions import end as sessions
from django_lazyauth.signals import upstream_token_expired, upstream_token_refreshed
from django_lazyauth.upstream.renew import renew
from django_lazyauth.vault import store
from django_lazyauth.vault.read import read
from django_lazyauth.vault.tokens import Binding
from tests.conftest import register

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard():
    """What the two signals said, in order."""
    said = []

    def listen(sender, signal, **told):
        said.append(("refreshed" if signal is upstream_token_refreshed else "expired", told))

    for signal in (upstream_token_refreshed, upstream_token_expired):
        signal.connect(listen)
    yield said
    for signal in (upstream_token_refreshed, upstream_token_expired):
        signal.disconnect(listen)


# -- is it due? ----------------------------------------------------------------------------------------------


def test_a_good_token_is_returned_as_it_is_with_one_indexed_select(session):
    bundle = session.bundle()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        credential = session.fresh()
    assert credential.access_token == bundle.access_token
    assert (credential.version, credential.subject) == (1, "person-1")
    assert credential.expires_at == bundle.expires_at
    assert len(queries) == 1
    assert session.refreshes() == []


def test_a_token_inside_the_skew_window_is_renewed_first(session, heard):
    session.rows.update(expires_at=timezone.now() + timedelta(seconds=59))
    credential = session.fresh()
    assert credential.version == 2
    assert credential.access_token == session.bundle().access_token
    assert credential.expires_at > timezone.now() + timedelta(minutes=50)
    assert len(session.refreshes()) == 1
    assert heard == [("refreshed", session.binding | {"version": 2})]


def test_the_caller_says_how_long_the_token_must_be_good_for(session):
    session.rows.update(expires_at=timezone.now() + timedelta(seconds=59))
    assert session.fresh(skew=timedelta(seconds=30)).version == 1
    assert session.fresh(skew=timedelta(seconds=60)).version == 2


def test_a_token_of_unknown_expiry_is_never_renewed_by_itself(session):
    session.rows.update(expires_at=None)
    assert session.fresh().version == 1
    assert session.refreshes() == []
    assert session.fresh(force=True).version == 2


def test_force_renews_a_token_that_looks_good(session):
    assert session.fresh(force=True, seen_version=1).version == 2
    assert session.fresh(force=True).version == 3


def test_force_with_a_version_that_is_over_returns_what_somebody_renewed_meanwhile(session):
    session.fresh(force=True, seen_version=1)
    credential = session.fresh(force=True, seen_version=1)
    assert credential.version == 2
    assert len(session.refreshes()) == 1


def test_force_with_a_version_that_is_over_still_sees_that_the_newer_one_has_ended(session):
    session.fresh(force=True, seen_version=1)
    session.expire()
    assert session.fresh(force=True, seen_version=1).version == 3


# -- whose is it? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["session_id", "provider", "user_id", "client_id"])
def test_a_wrong_part_of_the_binding_finds_nothing_and_asks_nobody(session, part):
    other = {
        "session_id": uuid7(),
        "provider": "other",
        "user_id": get_user_model().objects.create_user("grace").pk,
        "client_id": register(client_id="other").pk,
    }
    session.expire()
    with pytest.raises(BundleNotFound):
        session.fresh(**{part: other[part]})
    assert session.refreshes() == []


def test_a_refresh_reads_its_row_once_before_and_once_after(session):
    """Spec 3: two SELECTs, and one UPDATE each for the lease and the answer; one more for a new ID token."""
    session.expire()
    table = UpstreamGrant._meta.db_table
    with CaptureQueriesContext(connection) as queries:
        session.fresh()
    statements = [query["sql"].split()[0] for query in queries if table in query["sql"]]
    assert statements == ["SELECT", "UPDATE", "UPDATE", "SELECT"]


# -- what is carried forward -----------------------------------------------------------------------------------


def test_a_rotated_refresh_token_replaces_the_old_one(session):
    before = session.expire()
    session.fresh()
    after = session.bundle()
    assert after.refresh_token not in ("", before.refresh_token)
    assert session.refreshes()[0]["form"]["refresh_token"] == before.refresh_token
    assert session.fresh(force=True).version == 3
    assert session.refreshes()[1]["form"]["refresh_token"] == after.refresh_token


def test_without_a_new_refresh_token_the_old_one_stays_with_its_expiry(session):
    end = timezone.now() + timedelta(days=3)
    session.rows.update(refresh_expires_at=end)
    before = session.expire()
    session.upstream.control(keep_refresh_token=True, refresh_expires_in=99_999)
    session.fresh()
    after = session.bundle()
    assert (after.refresh_token, after.refresh_expires_at) == (before.refresh_token, end)
    assert after.access_token != before.access_token


def test_a_new_refresh_token_never_inherits_the_old_expiry(session):
    session.rows.update(refresh_expires_at=timezone.now() + timedelta(minutes=3))
    session.expire()
    session.fresh()
    assert session.bundle().refresh_expires_at is None
    session.upstream.control(refresh_expires_in=600)
    session.expire()
    session.fresh()
    left = session.bundle().refresh_expires_at - timezone.now()
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)


def test_a_new_access_token_never_inherits_the_old_expiry(session):
    session.upstream.control(expires_in=None)
    session.expire()
    assert session.fresh().expires_at is None


def test_scope_and_id_token_stay_where_the_upstream_is_silent(session):
    before = session.expire()
    session.upstream.control(token={"scope": None, "id_token": None})
    session.fresh()
    after = session.bundle()
    assert (after.scope, after.id_token) == (before.scope, before.id_token)
    assert before.id_token


def test_a_new_id_token_about_the_same_person_is_kept(session):
    """OpenID Connect Core §12.2."""
    before = session.expire()
    session.upstream.control(claims={"extra": "new"})
    session.fresh()
    assert session.bundle().id_token not in ("", before.id_token)


def test_an_id_token_that_does_not_verify_is_dropped(session):
    before = session.expire()
    session.upstream.control(unpublished_key=True)
    assert session.fresh().version == 2
    assert session.bundle().id_token == before.id_token


def test_an_id_token_about_somebody_else_is_refused(session):
    """OpenID Connect Core §12.2: another subject, never."""
    before = session.expire()
    session.upstream.control(claims={"sub": "person-2"}, keep_refresh_token=True)
    with pytest.raises(RefreshTransient) as caught:
        session.fresh()
    assert caught.value.code == "subject_changed"
    assert session.bundle() == before


# -- how it can fail -------------------------------------------------------------------------------------------


def answer(status, error, **members):
    return {"status": status, "body": {"error": error, **members}}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_refused_refresh_token_ends_the_bundle_whatever_the_status(session, heard, status):
    session.expire()
    session.upstream.control(token_answers=[answer(status, "invalid_grant")])
    with pytest.raises(RefreshExpired) as caught:
        session.fresh()
    assert (caught.value.provider, caught.value.code) == ("acme", "invalid_grant")
    assert session.bundle().is_dead
    assert heard == [("expired", session.binding)]


def test_a_dead_bundle_is_not_asked_for_again_until_the_person_signs_in(session, heard):
    session.expire()
    session.upstream.control(token_answers=["invalid_grant"])
    for _ in range(3):
        with pytest.raises(RefreshExpired):
            session.fresh()
    assert len(session.refreshes()) == 1
    assert len(heard) == 1
    session.sign_in()
    assert session.fresh().version == 2


@pytest.mark.parametrize(
    ("lever", "code"),
    [
        ("500", "http_500"),
        ("html", "bad_answer"),
        ("empty", "bad_answer"),
        ("close", "broken"),
        ("error_200", "bad_verification_code"),
        ([answer(400, "invalid_client")] * 2, "invalid_client"),
        (answer(401, "unauthorized_client"), "unauthorized_client"),
        (answer(429, "slow_down"), "slow_down"),
        (answer(503, "temporarily_unavailable"), "temporarily_unavailable"),
        (answer(400, ["canary"]), "http_400"),
        (answer(400, "Canary: a sentence"), "http_400"),
        ({"status": 400, "body": {}}, "http_400"),
        ({"status": 200, "body": []}, "bad_answer"),
        ({"status": 200, "body": {"access_token": ""}}, "bad_answer"),
        ({"status": 200, "body": {"access_token": 7}}, "bad_answer"),
        ({"status": 200, "body": {"access_token": "x", "token_type": "DPoP"}}, "bad_answer"),
        ({"status": 302, "body": {"access_token": "x"}}, "http_302"),
    ],
    ids=str,
)
def test_any_other_failure_is_passing_and_keeps_what_we_have(session, heard, lever, code):
    before = session.expire()
    session.upstream.control(token_answers=lever if isinstance(lever, list) else [lever])
    with pytest.raises(RefreshTransient) as caught:
        session.fresh()
    assert caught.value.code == code
    assert caught.value.retry_after > 0
    assert session.bundle() == before
    assert heard == []
    assert session.fresh().version == 2


def test_an_upstream_that_hangs_is_left_after_the_deadline(session, monkeypatch):
    monkeypatch.setattr(code_flow, "REFRESH_DEADLINE", 0.5)
    session.expire()
    session.upstream.control(token_answers=["hang"])
    started = time.monotonic()
    with pytest.raises(RefreshTransient) as caught:
        session.fresh()
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < 3
    assert session.fresh().version == 2


def test_an_upstream_that_is_down_is_a_passing_failure(session):
    session.expire()
    session.upstream.control(down=True)
    with pytest.raises(RefreshTransient):
        session.fresh()
    session.upstream.control(down=False)
    assert session.fresh().version == 2


def test_without_a_refresh_token_nothing_can_be_renewed(session):
    store.store(replace(session.bundle(), refresh_token="", subject="somebody-else"))
    session.expire()
    with pytest.raises(RefreshUnavailable) as caught:
        session.fresh()
    assert caught.value.code == "no_refresh_token"
    assert session.refreshes() == []


def test_a_refresh_token_whose_time_is_over_is_not_even_sent(session):
    session.expire()
    session.rows.update(refresh_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(RefreshExpired):
        session.fresh()
    assert session.refreshes() == []


def test_a_provider_that_is_gone_or_cannot_refresh_is_unavailable(session, lazyauth):
    session.expire()
    for config in ({}, {"acme": {"class": "tests.support.providers.BelievingProvider"}}):
        lazyauth(PROVIDERS=config)
        with pytest.raises(RefreshUnavailable):
            session.fresh()


def test_a_bundle_that_cannot_be_opened_means_sign_in_again(session):
    """I12: a lost key is no 500."""
    for column in ("access_token", "refresh_token"):
        session.rows.update(**{column: "v1.gone.AAAA"})
        with pytest.raises(RefreshExpired):
            session.fresh(force=True)
    with pytest.raises(RefreshExpired):
        session.fresh()
    assert session.refreshes() == []


def test_a_host_provider_that_raises_anything_is_a_passing_failure_without_its_words(
    session, monkeypatch, caplog
):
    """I13."""

    def explode(self, bundle):
        raise ValueError(f"canary {bundle.refresh_token}")

    monkeypatch.setattr("django_lazyauth.providers.openid.OpenIDProvider.refresh", explode)
    before = session.expire()
    with caplog.at_level(logging.DEBUG), pytest.raises(RefreshTransient) as caught:
        session.fresh()
    told = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert "canary" not in told
    assert before.refresh_token not in told
    assert caught.value.__suppress_context__
    monkeypatch.undo()
    assert session.rows.get().lease_until is None


def test_a_refresh_inside_a_transaction_is_refused(session, transactional_db):
    """No transaction spans a network call."""
    session.expire()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        session.fresh()
    assert session.refreshes() == []


# -- who wins ------------------------------------------------------------------------------------------------


class Meanwhile:
    """Runs something while the upstream is being asked."""

    def __init__(self, monkeypatch, work):
        real = token_requests.post_grant

        def post_grant(descriptor, endpoint, fields, **kwargs):
            response = real(descriptor, endpoint, fields, **kwargs)
            if fields.get("grant_type") == "refresh_token":
                assert not connection.in_atomic_block or connection.savepoint_ids == []
                monkeypatch.setattr(token_requests, "post_grant", real)
                work()
            return response

        monkeypatch.setattr(token_requests, "post_grant", post_grant)


def test_a_sign_out_during_a_refresh_is_never_undone(session, monkeypatch, lazyauth):
    session.revokes_tokens(lazyauth)
    session.expire()
    Meanwhile(monkeypatch, lambda: sessions.end_session(session.session_id))
    with pytest.raises(BundleNotFound):
        session.fresh()
    assert UpstreamToken.objects.count() == 0
    (revoked,) = session.upstream.requests("/revoke")
    assert revoked["form"]["token_type_hint"] == "refresh_token"
    assert revoked["form"]["token"].startswith("rt-")


def test_a_newer_sign_in_during_a_refresh_wins_and_the_refreshed_tokens_are_revoked(
    session, monkeypatch, lazyauth
):
    session.revokes_tokens(lazyauth)
    old = session.expire()
    Meanwhile(monkeypatch, session.sign_in)
    credential = session.fresh()
    stands = session.bundle()
    assert credential.access_token == stands.access_token
    assert credential.version == 2
    (revoked,) = session.upstream.requests("/revoke")
    assert revoked["form"]["token"] not in (old.refresh_token, stands.refresh_token)


def test_a_newer_sign_in_without_a_refresh_token_leaves_the_running_refresh_alone(session, monkeypatch):
    """It stays with the grant, whose holder writes what the upstream answers."""
    session.upstream.control(keep_refresh_token=True)
    old = session.expire()
    Meanwhile(monkeypatch, lambda: session.sign_in(omit_refresh_token=True))
    assert session.fresh().access_token == session.bundle().access_token != old.access_token
    assert session.bundle().refresh_token == old.refresh_token
    assert session.upstream.requests("/revoke") == []


def test_a_refusal_does_not_bury_a_newer_sign_in(session, monkeypatch, heard):
    session.expire()
    session.upstream.control(token_answers=["invalid_grant"])
    Meanwhile(monkeypatch, session.sign_in)
    assert session.fresh().version == 2
    assert not session.bundle().is_dead
    assert heard == []


def test_a_holder_who_stood_still_for_too_long_writes_nothing(session, monkeypatch):
    before = session.expire()
    Meanwhile(monkeypatch, lambda: session.rows.update(lease="of-somebody-else"))
    with pytest.raises(RefreshTransient) as caught:
        session.fresh()
    assert caught.value.code == "overtaken"
    assert session.bundle() == before


def test_a_refresh_token_that_another_process_spent_is_not_sent_again(session):
    """RFC 9700 §4.14: many upstreams end the grant. This process read the row before the other one renewed it."""
    session.expire()
    held = read(Binding(**session.binding))
    assert session.fresh().version == 2
    assert renew(held) is None
    assert len(session.refreshes()) == 1
    assert session.fresh().version == 2


def test_an_upstream_without_revocation_is_not_asked_for_it(session, monkeypatch, lazyauth):
    lazyauth(PROVIDERS={"acme": session.upstream.oauth2_config()})
    session.expire()
    Meanwhile(monkeypatch, lambda: sessions.end_session(session.session_id))
    with pytest.raises(BundleNotFound):
        session.fresh()
    assert session.upstream.requests("/revoke") == []


def test_a_failing_revocation_changes_nothing(session, monkeypatch):
    def work():
        sessions.end_session(session.session_id)
        session.upstream.control(down=True)

    session.expire()
    Meanwhile(monkeypatch, work)
    with pytest.raises(BundleNotFound):
        session.fresh()


def test_a_lease_of_another_process_is_waited_for_and_never_doubled(session):
    session.expire()
    session.rows.update(lease="theirs", lease_until=timezone.now() + timedelta(seconds=15))
    started = time.monotonic()
    with pytest.raises(RefreshTransient) as caught:
        session.fresh(wait=0.5)
    assert caught.value.code == "busy"
    assert 0.4 <= time.monotonic() - started < 2
    assert session.refreshes() == []


def test_a_lease_that_ended_by_itself_is_taken_over(session):
    session.expire()
    session.rows.update(lease="theirs", lease_until=timezone.now() - timedelta(seconds=1))
    assert session.fresh().version == 2
    assert session.rows.get().lease_until is None


def test_a_lease_that_ends_while_it_is_waited_for_is_taken_over(session):
    """Its holder was killed: the caller that waits for it need not fail first."""
    session.expire()
    session.rows.update(lease="theirs", lease_until=timezone.now() + timedelta(seconds=0.5))
    started = time.monotonic()
    assert session.fresh().version == 2
    assert time.monotonic() - started < 6
    assert len(session.refreshes()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_waiter_gets_what_the_other_process_wrote(session):
    session.expire()
    session.rows.update(lease="theirs", lease_until=timezone.now() + timedelta(seconds=15))

    def write():
        time.sleep(0.3)
        session.rows.update(version=F("version") + 1, lease="", lease_until=None)
        connection.close()

    other = threading.Thread(target=write)
    other.start()
    assert session.fresh().version == 2
    other.join()
    assert session.refreshes() == []


# -- signing in again ------------------------------------------------------------------------------------------


def test_signing_in_again_grows_the_version_whatever_the_caller_knew(session):
    session.fresh(force=True)
    session.fresh(force=True)
    session.sign_in()
    assert session.bundle().version == 4


def test_the_refresh_token_is_carried_forward_only_where_the_upstream_gives_none(session):
    session.rows.update(refresh_expires_at=timezone.now() + timedelta(days=1))
    first = session.bundle()
    session.sign_in(omit_refresh_token=True)
    second = session.bundle()
    assert second.refresh_token == first.refresh_token
    assert second.refresh_expires_at == first.refresh_expires_at
    assert second.access_token != first.access_token
    session.sign_in(omit_refresh_token=False)
    third = session.bundle()
    assert third.refresh_token not in ("", first.refresh_token)
    assert third.refresh_expires_at is None


def test_the_refresh_token_of_another_subject_is_never_carried_forward(session):
    session.sign_in(sub="person-2", omit_refresh_token=True)
    assert session.bundle().refresh_token == ""
    assert session.bundle().subject == "person-2"


def test_a_refused_refresh_token_is_not_carried_forward(session):
    session.rows.update(state=GrantState.DEAD)
    session.sign_in(omit_refresh_token=True)
    assert session.bundle().refresh_token == ""
    assert not session.bundle().is_dead


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_a_stored_time_that_nobody_can_have_meant_is_unknown(session, moment):
    """Earlier versions moved Go's zero time in. The token is used until the upstream refuses it, and then renewed."""
    session.rows.update(expires_at=moment, refresh_expires_at=moment)
    held = session.fresh()
    assert (held.expires_at, session.refreshes()) == (None, [])
    assert session.fresh(force=True).version == held.version + 1


@pytest.mark.parametrize(
    "value", [1e308, "1e308", "NaN", "-1", 1_700_000_000_000, -62_135_596_800, "9" * 400]
)
def test_a_lifetime_that_cannot_be_one_leaves_the_new_token_usable(session, value):
    """RFC 6749 §5.1: `expires_in` is optional, so an odd one is as if absent."""
    session.upstream.control(expires_in=value)
    session.expire()
    assert session.fresh().expires_at is None
    assert session.fresh().version == 2


@pytest.mark.parametrize("lifetime", ["3600", 3600.0, "3600.5"])
def test_a_lifetime_may_be_written_as_a_text_or_a_float(session, lifetime):
    session.upstream.control(expires_in=lifetime)
    session.expire()
    left = session.fresh().expires_at - timezone.now()
    assert timedelta(seconds=3590) < left <= timedelta(seconds=3601)
