"""Spec 9, the grant: who leaves, joins, renews or repoints it at the same moment. Four processes where time decides."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from django_lazyauth.errors import RefreshExpired, SealBroken
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sessions import end
from django_lazyauth.upstream.revocations import revoke_due
from django_lazyauth.vault import leave, store
from django_lazyauth.vault.tokens import GrantTerms
from tests.support.endings import race
from tests.support.processes import PATIENCE, together, until
from tests.vault.conftest import session

__all__ = ["session"]

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ROUNDS = 12
OFFLINE = ["openid", "profile", "email", "offline_access"]


@pytest.fixture
def configured(upstream, lazyauth):
    """Each refresh token there is a family of its own, and is revoked with its last session."""
    lazyauth(PROVIDERS={"acme": upstream.config(scopes=OFFLINE, offline="always", revocation="token")})
    return upstream


@pytest.fixture
def live(configured, session):
    """Return new sessions that live on one new grant: ``live(2)``."""
    UpstreamToken.objects.all().delete()
    UpstreamGrant.objects.all().delete()
    configured.control(reset=True)
    taken = iter(range(1000))

    def make(count):
        person = get_user_model().objects.create_user(f"person{next(taken)}")
        first = session.another(user=person)
        first.sign_in()
        others = [session.another(user=person) for _ in range(count - 1)]
        for other in others:
            other.sign_in(omit_refresh_token=True)
        configured.control(omit_refresh_token=False)
        assert {one.rows.get() for one in others} <= {first.rows.get()}
        return [first, *others]

    return make


def revoked(upstream) -> list[str]:
    return [request["form"]["token"] for request in upstream.requests("/revoke")]


def assert_no_orphans():
    pointed = set(UpstreamToken.objects.values_list("grant_id", flat=True))
    assert set(UpstreamGrant.objects.values_list("pk", flat=True)) == pointed


def drain():
    """Revoke what waits, also where a thread of a process took it and ended."""
    UpstreamGrant.objects.filter(state=GrantState.LEAVING).update(next_attempt_at=timezone.now())
    revoke_due()


def test_the_last_sessions_of_a_grant_end_at_once_and_it_is_revoked_once(live, configured):
    """Spec 9, done when: one revocation, no orphan row."""
    rounds = [live(4) for _ in range(ROUNDS)]
    tokens = [sessions[0].bundle().refresh_token for sessions in rounds]
    works = [
        [["call", "end_session", one.session_id] for one in column] for column in zip(*rounds, strict=True)
    ]
    assert race(*works) == [[[], [], [], []]] * ROUNDS
    assert not UpstreamToken.objects.exists()
    drain()
    assert not UpstreamGrant.objects.exists()
    assert sorted(revoked(configured)) == sorted(tokens)


def joining(one):
    """Return the work of a process: a session that brings no refresh token signs in."""
    bundle = {
        "access_token": f"joined-{one.session_id}",
        "scope": one.rows.get().scope,
        "session_id": str(uuid7()),
        "provider": "acme",
        "user_id": one.user.pk,
        "client_id": one.application.pk,
        "subject": "person-1",
    }
    return bundle, ["call", "join", bundle, one.rows.get().upstream_client]


def test_who_joins_while_the_last_session_leaves_has_a_grant_that_stays(live, configured):
    """Spec 9, done when: a join while leaving → a grant of its own. Never one that is being revoked."""
    rounds = [live(2) for _ in range(ROUNDS)]
    tokens = {sessions[0].bundle().refresh_token: sessions[0].rows.get().pk for sessions in rounds}
    joins = [[joining(one) for one in sessions] for sessions in rounds]
    works = [
        *([["call", "end_session", sessions[at].session_id] for sessions in rounds] for at in (0, 1)),
        *([pair[at][1] for pair in joins] for at in (0, 1)),
    ]
    assert race(*works) == [[[], [], [], []]] * ROUNDS
    drain()
    assert UpstreamToken.objects.count() == 2 * ROUNDS
    assert_no_orphans()
    assert not UpstreamGrant.objects.exclude(state=GrantState.LIVE).exists()
    kept = set(UpstreamGrant.objects.exclude(refresh_token="").values_list("pk", flat=True))
    assert {tokens[token] for token in revoked(configured)} == set(tokens.values()) - kept
    for bundle, _work in (one for pair in joins for one in pair):
        held = store.get(
            bundle["session_id"], "acme", user_id=bundle["user_id"], client_id=bundle["client_id"]
        )
        assert held.refresh_token not in revoked(configured)


def test_a_sign_out_and_a_refresh_of_one_grant_leave_no_token_that_nobody_holds(live, configured):
    """What the upstream gave last is revoked, by whoever was late."""
    rounds = [live(2) for _ in range(ROUNDS)]
    for sessions in rounds:
        sessions[0].expire()
    works = [
        *([["call", "end_session", sessions[at].session_id] for sessions in rounds] for at in (0, 1)),
        *(
            [
                ["vault", one.session_id, "acme", one.user.pk, one.application.pk]
                for one in (sessions[at] for sessions in rounds)
            ]
            for at in (0, 1)
        ),
    ]
    for ended, also_ended, *asked in race(*works):
        assert (ended, also_ended) == ([], [])
        assert {word for words in asked for word in words} <= {"BundleNotFound", "RefreshTransient"}
    drain()
    assert not UpstreamToken.objects.exists()
    assert not UpstreamGrant.objects.exists()
    assert len(configured.refresh_tokens()) == ROUNDS
    assert configured.refresh_tokens() <= set(revoked(configured))


def test_i12_a_session_that_was_pointed_to_another_grant_is_signed_out(live):
    """Spec 9, done when. Whoever writes SQL gets no token of somebody else, and ends nobody's grant."""
    [ada], [grace] = live(1), live(1)
    UpstreamToken.objects.filter(session_id=ada.session_id).update(grant_id=grace.rows.get().pk)
    with pytest.raises(SealBroken):
        ada.bundle()
    with pytest.raises(RefreshExpired):
        ada.fresh()
    end.end_session(ada.session_id)
    assert grace.bundle().refresh_token
    assert UpstreamGrant.objects.filter(user=grace.user, state=GrantState.LIVE).exists()


def test_sessions_that_come_and_go_meanwhile_are_no_reason_to_give_up(live, monkeypatch):
    """In a transaction that cannot be run anew, such as a host's: each time one has just ended, and another begun."""
    sessions, lock = live(2), leave.lock

    def lock_after_others(grant_ids):
        if threading.current_thread() is threading.main_thread() and len(sessions) < 4 * leave.TRIES:
            sessions.append(sessions[0].another())
            together(lambda: end.end_session(sessions[-2].session_id))
            together(sessions[-1].sign_in)
        lock(grant_ids)

    monkeypatch.setattr(leave, "lock", lock_after_others)
    with transaction.atomic():
        leave.delete_of_user(sessions[0].user.pk)
    assert not sessions[0].rows.exists()


def test_a_session_that_moves_while_it_leaves_is_found_again(live, monkeypatch):
    """Somebody signs in again on the same session, with a new grant, each time before we are first."""
    [one] = live(1)
    moves, lock = iter(range(leave.TRIES - 1)), leave.lock

    def lock_after_a_move(grant_ids):
        if threading.current_thread() is threading.main_thread() and next(moves, None) is not None:
            together(one.sign_in)
        lock(grant_ids)

    monkeypatch.setattr(leave, "lock", lock_after_a_move)
    with transaction.atomic():
        assert leave.delete(one.session_id) == 1
    assert not UpstreamToken.objects.exists()


def test_who_waits_for_the_last_session_joins_nothing_that_is_leaving(live, waiting):
    """The one that joins stands behind the lock of the one that leaves."""
    [one] = live(1)
    bundle, (_call, _join, values, client) = joining(one)
    has_left, is_done = threading.Event(), threading.Event()

    def last():
        with transaction.atomic():
            leave.delete(one.session_id)
            has_left.set()
            until(lambda: waiting() == 1 or is_done.is_set())

    def join():
        assert has_left.wait(PATIENCE)
        store.store(store.UpstreamBundle(**values), GrantTerms(client, is_standing=True, revocation="token"))
        is_done.set()

    together(last, join)
    held = store.get(bundle["session_id"], "acme", user_id=one.user.pk, client_id=one.application.pk)
    assert (held.access_token, held.refresh_token) == (bundle["access_token"], "")
