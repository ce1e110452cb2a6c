"""Spec 9: sessions of one consent live on one grant, and a grant is reached by the ticket of its session only."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from django_lazyauth.errors import BundleNotFound, RefreshExpired, SealBroken
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.sessions import end as sessions
from django_lazyauth.signals import upstream_token_expired
from django_lazyauth.upkeep.sweep import GRACE, sweep
from django_lazyauth.upstream import fresh_token
from django_lazyauth.upstream.move_in import move_all
from django_lazyauth.vault import leave, store
from tests.conftest import register
from tests.support.racers import racer

pytestmark = pytest.mark.django_db

OFFLINE = ["openid", "profile", "email", "offline_access"]


@pytest.fixture
def offline(upstream, lazyauth, session):
    """A session whose provider is asked for offline access, as Google's preset asks."""
    lazyauth(PROVIDERS={"acme": upstream.config(scopes=OFFLINE)})
    sessions.end_session(session.session_id)
    upstream.control(reset=True)
    first = session.another()
    first.sign_in()
    return first


def second(first, **levers):
    """Sign the person in once more, at an upstream that gives no second refresh token."""
    other = first.another()
    other.sign_in(omit_refresh_token=True, **levers)
    return other


def in_the_old_format(session) -> None:
    """Let the tokens of *session* stand as an earlier release left them."""
    bundle = session.bundle()
    grant = session.rows.get()
    UpstreamToken.objects.filter(session_id=session.session_id).update(
        grant=None, ticket=None, version=grant.version, **store.columns_of(bundle)
    )
    grant.delete()


# -- one grant for all sessions of a consent -----------------------------------------------------------------------


def test_a_second_session_renews_as_the_first_does(offline):
    """Google gives a refresh token at the first consent only."""
    other = second(offline)
    assert other.rows.get() == offline.rows.get()
    assert other.bundle().refresh_token == offline.bundle().refresh_token != ""
    offline.expire()
    assert other.fresh().version == offline.fresh().version
    assert len(offline.refreshes()) == 1


def test_a_session_that_joins_brings_its_access_token_where_that_ends_later(offline):
    offline.rows.update(expires_at=timezone.now() + timedelta(minutes=2))
    before = offline.bundle()
    other = second(offline)
    assert offline.bundle().access_token == other.bundle().access_token != before.access_token
    assert offline.bundle().version == before.version + 1
    offline.rows.update(expires_at=timezone.now() + timedelta(days=2))
    second(offline)
    assert offline.bundle().access_token == other.bundle().access_token


def test_a_session_that_joins_leaves_a_grant_alone_that_is_being_renewed(offline):
    """The holder of the lease writes its answer only while version and lease are its own."""
    offline.rows.update(
        expires_at=timezone.now(), lease="theirs", lease_until=timezone.now() + timedelta(seconds=15)
    )
    before = offline.rows.values().get()
    second(offline)
    after = offline.rows.values().get()
    assert after | {"updated_at": None} == before | {"updated_at": None}


def test_each_session_keeps_its_own_id_token(offline):
    other = second(offline, claims={"extra": "second"})
    assert "" not in (offline.bundle().id_token, other.bundle().id_token)
    assert offline.bundle().id_token != other.bundle().id_token


def test_a_sign_in_that_brings_a_refresh_token_has_a_grant_of_its_own(offline):
    other = offline.another()
    other.sign_in()
    assert other.rows.get() != offline.rows.get()
    assert other.bundle().refresh_token != offline.bundle().refresh_token


@pytest.mark.parametrize("other", ["person", "subject", "client", "scopes", "not offline"])
def test_nobody_joins_the_grant_of_another_key(offline, lazyauth, other):
    stranger, levers = offline.another(), {}
    config = offline.upstream.config(scopes=OFFLINE)
    if other == "person":
        stranger = offline.another(user=get_user_model().objects.create_user("grace"))
    elif other == "subject":
        levers = {"sub": "person-2"}
    elif other == "client":
        offline.rows.update(upstream_client="another-client")
    elif other == "scopes":
        levers = {"token": {"scope": "openid"}}
    else:
        config = offline.upstream.config()
    lazyauth(PROVIDERS={"acme": config})
    stranger.sign_in(omit_refresh_token=True, **levers)
    assert stranger.rows.get() != offline.rows.get()
    assert stranger.bundle().refresh_token == ""


def test_a_sign_in_whose_scopes_lack_the_one_for_refresh_tokens_joins(offline):
    """oidc-provider leaves it out of the answer that brings none (OpenID Connect Core §11)."""
    other = second(offline, token={"scope": "email profile openid"})
    assert other.rows.get() == offline.rows.get()


def test_the_newest_grant_is_joined(offline):
    newer = offline.another()
    newer.sign_in()
    assert second(offline).rows.get() == newer.rows.get()


@pytest.mark.parametrize("state", [GrantState.DEAD])
def test_a_grant_that_died_is_not_joined(offline, state):
    offline.rows.update(state=state)
    other = second(offline)
    assert other.rows.get() != offline.rows.get()


def test_a_read_is_one_select_whoever_else_lives_on_the_grant(offline, django_assert_num_queries):
    other = second(offline)
    with django_assert_num_queries(1):
        other.fresh()


def test_the_token_of_a_consent_is_renewed_for_all_its_sessions(offline):
    """GitHub ends the old access token with a refresh."""
    other = second(offline)
    before = offline.bundle()
    renewed = offline.fresh(force=True)
    assert other.fresh(force=True, seen_version=before.version) == renewed
    assert len(offline.refreshes()) == 1


# -- a grant that dies ---------------------------------------------------------------------------------------------


def test_sessions_of_a_grant_that_died_move_to_the_younger_one(offline):
    told = []

    def listen(session_id, **_others):
        told.append(session_id)

    upstream_token_expired.connect(listen)
    other = second(offline)
    newer = offline.another()
    newer.sign_in(omit_refresh_token=False)
    offline.expire()
    offline.upstream.control(token_answers=["invalid_grant"])
    assert offline.fresh().access_token == newer.bundle().access_token
    assert other.fresh().access_token == newer.bundle().access_token
    upstream_token_expired.disconnect(listen)
    assert told == []
    assert UpstreamGrant.objects.get() == newer.rows.get()
    assert len(offline.refreshes()) == 1


def test_a_session_moves_when_the_person_signs_in_again_after_the_grant_died(offline):
    offline.expire()
    offline.upstream.control(token_answers=["invalid_grant"])
    with pytest.raises(RefreshExpired):
        offline.fresh()
    newer = offline.another()
    newer.sign_in()
    assert offline.fresh().access_token == newer.bundle().access_token


def test_without_a_younger_grant_the_person_has_to_sign_in(offline):
    other = second(offline)
    offline.expire()
    offline.upstream.control(token_answers=["invalid_grant"])
    for one in (offline, other, offline):
        with pytest.raises(RefreshExpired):
            one.fresh()
    assert len(offline.refreshes()) == 1


def test_a_session_of_a_grant_that_does_not_stand_moves_nowhere(session):
    newer = session.another()
    newer.sign_in()
    session.expire()
    session.upstream.control(token_answers=["invalid_grant"])
    with pytest.raises(RefreshExpired):
        session.fresh()


# -- leaving -------------------------------------------------------------------------------------------------------


def test_the_end_of_one_session_leaves_the_others_able_to_refresh(offline):
    other = second(offline)
    sessions.end_session(offline.session_id)
    with pytest.raises(BundleNotFound):
        offline.fresh()
    other.rows.update(expires_at=timezone.now())
    assert other.fresh().version > 1


def test_the_last_session_takes_the_grant_with_it(offline):
    other = second(offline)
    sessions.end_session(offline.session_id)
    assert UpstreamGrant.objects.exists()
    sessions.end_session(other.session_id)
    assert not UpstreamGrant.objects.exists()


def test_a_newer_sign_in_of_a_session_takes_its_earlier_grant_with_it(session):
    before = session.rows.get()
    session.sign_in()
    assert session.rows.get() != before
    assert UpstreamGrant.objects.count() == 1


def test_grants_go_with_people_and_clients(offline):
    client = register(client_id="other")
    at_client = offline.another(application=client)
    at_client.sign_in()
    assert UpstreamGrant.objects.count() == 2
    client.delete()
    assert UpstreamGrant.objects.get() == offline.rows.get()
    offline.user.delete()
    assert UpstreamGrant.objects.get().state == GrantState.LEAVING, "what they allowed is revoked"
    assert not UpstreamToken.objects.exists()


def test_the_sweep_finds_grants_whose_sessions_were_deleted_by_hand(offline):
    UpstreamToken.objects.filter(session_id=offline.session_id).delete()
    other = offline.another()
    other.sign_in()
    counts = {swept.kind: swept.count for swept in sweep()}
    assert counts["upstream grants"] == 0, "one may be about to be joined"
    counts = {swept.kind: swept.count for swept in sweep(now=timezone.now() + GRACE + timedelta(minutes=1))}
    assert counts["upstream grants"] == 1
    assert UpstreamGrant.objects.get() == other.rows.get()


def test_a_grant_with_a_session_cannot_be_deleted(offline):
    with transaction.atomic():
        # InnoDB refuses at once, the others when the transaction would commit.
        with pytest.raises(IntegrityError):  # noqa: PT012 - which of the two statements is the database's choice
            offline.rows.delete()
            connection.check_constraints()
        transaction.set_rollback(True)


# -- who reaches a grant (I12) ---------------------------------------------------------------------------------------


@pytest.fixture
def thief(offline):
    """A session of somebody else with a grant of their own."""
    thief = offline.another(user=get_user_model().objects.create_user("mallory"))
    thief.sign_in(sub="person-2")
    return thief


def rows_of(session):
    return UpstreamToken.objects.filter(session_id=session.session_id)


def test_i12_a_row_that_points_to_the_grant_of_somebody_else_opens_nothing(offline, thief):
    rows_of(thief).update(grant=offline.rows.get())
    with pytest.raises(SealBroken):
        thief.bundle()
    for force in (False, True):
        with pytest.raises(RefreshExpired):
            thief.fresh(force=force)
    assert offline.refreshes() == []


def test_i12_a_ticket_opens_in_its_own_session_only(offline, thief):
    stolen = rows_of(offline).get()
    rows_of(thief).update(grant=stolen.grant, ticket=stolen.ticket, subject=stolen.subject)
    with pytest.raises(RefreshExpired):
        thief.fresh()


def test_i12_a_row_that_points_to_another_grant_of_the_same_person_opens_nothing(offline):
    other = offline.another()
    other.sign_in()
    rows_of(other).update(grant=offline.rows.get())
    with pytest.raises(RefreshExpired):
        other.fresh()


def test_i12_a_ticket_that_was_checked_before_opens_no_other_grant(offline):
    """A process remembers the tickets that it checked."""
    other = offline.another()
    other.sign_in()
    mine, theirs = offline.rows.get(), other.rows.get()
    assert offline.fresh().access_token != other.fresh().access_token
    rows_of(other).update(grant=mine)
    with pytest.raises(RefreshExpired):
        other.fresh()
    rows_of(other).update(grant=theirs)
    assert other.fresh().access_token == other.bundle().access_token


def test_i12_a_token_opens_in_its_own_grant_only(offline, thief):
    for column in ("access_token", "refresh_token"):
        stolen = getattr(offline.rows.get(), column)
        kept = getattr(thief.rows.get(), column)
        thief.rows.update(**{column: stolen})
        with pytest.raises(SealBroken):
            thief.bundle()
        thief.rows.update(**{column: kept})
    assert thief.bundle().subject == "person-2"


def test_i12_a_dead_grant_of_somebody_else_leads_to_no_younger_one(offline, thief):
    newer = offline.another()
    newer.sign_in()
    offline.rows.update(state=GrantState.DEAD)
    rows_of(thief).update(grant=offline.rows.get())
    with pytest.raises(RefreshExpired):
        thief.fresh()


def test_i12_a_session_without_a_ticket_does_not_wait_for_the_refresh_of_another(offline, thief):
    """A thread that waits is handed what the refresh of the other session brought."""
    rows_of(thief).update(grant=offline.rows.get(), subject=offline.bundle().subject)
    offline.expire()
    key = offline.rows.get().pk, offline.bundle().version
    running = fresh_token._Running(credential=offline.bundle())
    running.is_done.set()
    fresh_token._running[key] = running
    try:
        with pytest.raises(RefreshExpired):
            thief.fresh()
    finally:
        del fresh_token._running[key]


# -- rows of an earlier release --------------------------------------------------------------------------------------


def test_a_row_of_an_earlier_release_is_read_as_it_is(session, django_assert_num_queries):
    before = session.bundle()
    in_the_old_format(session)
    with django_assert_num_queries(1):
        credential = session.fresh()
    assert session.bundle() == before
    assert (credential.access_token, credential.version) == (before.access_token, before.version)
    assert not UpstreamGrant.objects.exists()


def test_a_row_of_an_earlier_release_gets_a_grant_when_its_token_is_renewed(session):
    before = session.bundle()
    in_the_old_format(session)
    credential = session.fresh(force=True)
    assert credential.version == before.version + 1
    assert session.refreshes()[0]["form"]["refresh_token"] == before.refresh_token
    row = rows_of(session).get()
    assert (row.access_token, row.refresh_token, row.expires_at) == ("", "", None)
    assert session.bundle().access_token == credential.access_token


def test_a_row_of_an_earlier_release_gets_a_grant_by_rotate_vault_keys(offline):
    before = offline.bundle()
    in_the_old_format(offline)
    assert move_all() == 1
    assert offline.bundle() == before
    assert second(offline).rows.get() == offline.rows.get()
    assert move_all() == 0


def test_a_row_of_an_earlier_release_keeps_its_refresh_token_at_a_sign_in_that_brings_none(session):
    before = session.bundle()
    in_the_old_format(session)
    session.sign_in(omit_refresh_token=True)
    after = session.bundle()
    assert (after.refresh_token, after.version) == (before.refresh_token, before.version + 1)
    assert after.access_token != before.access_token


def test_a_row_that_a_process_of_the_earlier_release_is_renewing_stays(session):
    """That process writes its answer to the row itself."""
    in_the_old_format(session)
    rows_of(session).update(lease="theirs", lease_until=timezone.now() + timedelta(seconds=15))
    assert move_all() == 0
    assert rows_of(session).get().grant is None


def test_the_database_refuses_a_row_that_holds_tokens_and_a_grant(session):
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_of(session).update(refresh_token="copied")


# -- many processes --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_refreshes_of_two_sessions_in_four_processes_cause_one_request(offline):
    """The refresh token is spent once. At an upstream that rotates, a second use would end the consent."""
    other = second(offline)
    offline.expire()
    offline.upstream.control(delay=0.5, omit_refresh_token=False)
    job = offline.binding | {"sessions": [str(offline.session_id), str(other.session_id)]}
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="refresh", threads=10, **job)) for _ in range(4)]
        for one in racers:
            one.go()
        results = [result for one in racers for result in one.result()]
    assert [result for result in results if "error" in result] == []
    assert {result["token"] for result in results} == {offline.bundle().access_token}
    assert len(results) == 40
    assert len(offline.refreshes()) == 1


def test_leaving_twice_changes_nothing(offline):
    assert leave.delete(offline.session_id) == 1
    assert leave.delete(offline.session_id) == 0
