"""Spec 9, leaving: what is revoked at an upstream, when, and what never is."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_lazyauth.models import GrantState, ProviderIdentity, UpstreamGrant
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import end
from django_lazyauth.sign_in import identities
from django_lazyauth.upkeep.sweep import sweep
from django_lazyauth.upstream import revocations
from django_lazyauth.upstream.revocations import ATTEMPTS, revoke_due
from tests.vault.conftest import session  # noqa: F401

pytestmark = pytest.mark.django_db

OFFLINE = ["openid", "profile", "email", "offline_access"]
WAITING = UpstreamGrant.objects.filter(state=GrantState.LEAVING)


@pytest.fixture
def configure(lazyauth, session):  # noqa: F811 - the fixture
    """Give the provider keys, and let the session sign in anew."""

    def put(**keys):
        lazyauth(PROVIDERS={"acme": session.upstream.config(scopes=OFFLINE, **keys)})
        session.sign_in()
        session.upstream.control(reset=True)
        return session

    return put


def revoked(session) -> list[str]:  # noqa: F811 - the fixture
    """Return the tokens that the upstream was asked to revoke."""
    requests = session.upstream.requests("/revoke")
    assert {request["form"]["token_type_hint"] for request in requests} <= {"refresh_token"}
    return [request["form"]["token"] for request in requests]


def due_now() -> None:
    # A second ago: the clock of SQLite counts milliseconds.
    WAITING.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


# -- a refresh token that is a family of its own -----------------------------------------------------------------------


def test_the_last_sign_out_revokes_a_token_of_kind_token(configure):
    one = configure(revocation="token")
    other = one.another()
    other.sign_in(omit_refresh_token=True)
    token = one.bundle().refresh_token
    end.end_session(one.session_id)
    assert (revoke_due(), revoked(one)) == (0, []), "the other session lives on it"
    end.end_session(other.session_id)
    assert WAITING.count() == 1
    assert (revoke_due(), revoked(one)) == (1, [token])
    assert not UpstreamGrant.objects.exists()


def test_a_sign_out_does_not_wait_for_the_upstream(configure):
    one = configure(revocation="token")
    one.upstream.control(delay=5)
    started = time.monotonic()
    end.end_session(one.session_id)
    assert time.monotonic() - started < 2


@pytest.mark.django_db(transaction=True)
def test_after_the_commit_a_thread_revokes_by_itself(configure):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    give_up = time.monotonic() + 20
    while UpstreamGrant.objects.exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert len(revoked(one)) == 1


def test_a_grant_that_waits_is_not_joined(configure):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    other = one.another()
    other.sign_in(omit_refresh_token=True)
    assert other.bundle().refresh_token == ""
    assert WAITING.count() == 1


def test_a_newer_sign_in_of_a_session_revokes_what_it_replaces(configure):
    one = configure(revocation="token")
    token = one.bundle().refresh_token
    one.sign_in()
    assert (revoke_due(), revoked(one)) == (1, [token])


# -- what would end all that the person allowed there ------------------------------------------------------------------


def test_a_sign_out_revokes_nothing_of_kind_grant(configure):
    """Nobody who signs out of one site wants to be asked by Google again."""
    one = configure()
    end.end_session(one.session_id)
    assert not UpstreamGrant.objects.exists()
    assert (revoke_due(), revoked(one)) == (0, [])


def withdraw(one):
    end.withdraw(one.user, one.application)


def deactivate(one):
    one.user.is_active = False
    one.user.save()


def delete(one):
    one.user.delete()


def unlink(one):
    one.user.set_password("a good password")
    one.user.save()
    identity = ProviderIdentity.objects.create(user=one.user, provider="acme", subject="person-1")
    identities.delete([identity.pk])


@pytest.mark.parametrize("leave", [withdraw, deactivate, delete, unlink])
def test_a_person_who_leaves_revokes_what_they_allowed_there(configure, leave):
    one = configure()
    token = one.bundle().refresh_token
    leave(one)
    assert (revoke_due(), revoked(one)) == (1, [token])
    assert not UpstreamGrant.objects.exists()


def test_nothing_is_revoked_while_another_session_lives_on_a_grant_of_the_same_account(configure, lazyauth):
    """The revocation would end that grant too: whatever the provider is called here, and whoever the user is."""
    one = configure()
    config = one.upstream.config(scopes=OFFLINE)
    lazyauth(PROVIDERS={"acme": config, "acme-work": config | {"client_id": one.upstream.client_id}})
    grace = one.another(user=get_user_model().objects.create_user("grace"), provider="acme-work")
    success = one.bundle()
    get_provider("acme-work").finalize(
        success.as_json()
        | {
            "client_id": one.application.pk,
            "subject": "person-1",
            "terms": {"upstream_client": one.upstream.client_id, "is_standing": True},
        },
        user=grace.user,
        session_id=grace.session_id,
    )
    delete(one)
    assert (revoke_due(), revoked(one)) == (1, [])
    assert UpstreamGrant.objects.get().user == grace.user


def test_nothing_is_ever_revoked_of_kind_none(configure):
    one = configure(revocation="none")
    delete(one)
    assert (revoke_due(), revoked(one)) == (0, [])
    assert not UpstreamGrant.objects.exists()


def test_a_session_never_shares_where_the_configuration_says_so(configure):
    one = configure(grant="session")
    other = one.another()
    other.sign_in(omit_refresh_token=True)
    assert other.bundle().refresh_token == ""
    assert other.rows.get() != one.rows.get()


# -- an upstream that does not answer ----------------------------------------------------------------------------------


def test_a_revocation_is_tried_five_times_and_later_each_time(configure, caplog):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    one.upstream.control(down=True)
    for attempt in range(1, ATTEMPTS):
        assert revoke_due() == 0
        grant = WAITING.get()
        left = grant.next_attempt_at - timezone.now()
        pause = timedelta(seconds=10 * 2 ** (attempt - 1))
        assert pause - timedelta(seconds=5) < left <= pause
        assert grant.attempts == attempt
        assert revoke_due() == 0
        assert WAITING.get().attempts == attempt, "it is not due yet"
        due_now()
    assert revoke_due() == 1
    assert not UpstreamGrant.objects.exists()
    assert "was not revoked" in caplog.text
    one.upstream.control(down=False)


def test_a_revocation_that_is_redirected_is_none_and_the_operator_is_told_where_to(configure, caplog):
    """I13: the path of a revocation may hold a token, so of its place the host is told."""
    one = configure(revocation="token")
    end.end_session(one.session_id)
    one.upstream.control(redirects={"/revoke": "https://new.example/of/at-1?token=rt-1"})
    for _ in range(ATTEMPTS):
        due_now()
        revoke_due()
    assert len(revoked(one)) == ATTEMPTS
    assert "(redirect: revocation endpoint: to https://new.example, provider acme)" in caplog.text


def test_a_revocation_by_a_client_that_is_not_known_there_is_none_and_is_told(configure, caplog):
    """RFC 7009 §2.2.1: a wrong secret left tokens alive, and the log said that they were revoked."""
    one = configure(revocation="token")
    end.end_session(one.session_id)
    one.upstream.control(revoke_status=401)
    for _ in range(ATTEMPTS):
        due_now()
        revoke_due()
    assert len(revoked(one)) == ATTEMPTS
    assert "(misconfigured: revocation endpoint: HTTP 401, provider acme)" in caplog.text


def test_a_token_that_is_not_known_there_is_revoked(configure, caplog):
    """Some servers answer 400, where RFC 7009 §2.2 wants 200."""
    caplog.set_level("INFO", "django_lazyauth.vault")
    one = configure(revocation="token")
    end.end_session(one.session_id)
    one.upstream.control(revoke_status=400)
    assert revoke_due() == 1
    assert caplog.records[-1].outcome == "revoked"


def test_the_sweep_tries_what_a_process_left_that_ended(configure):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    counts = {swept.kind: swept.count for swept in sweep()}
    assert counts["upstream grants that were left"] == 1
    assert len(revoked(one)) == 1


def test_of_two_processes_one_revokes(configure, monkeypatch):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    grant = WAITING.get()
    assert revocations._attempt(grant)
    assert not revocations._attempt(grant)
    assert len(revoked(one)) == 1


def test_what_no_key_opens_and_whose_provider_is_gone_goes_all_the_same(configure, lazyauth):
    one = configure(revocation="token")
    end.end_session(one.session_id)
    WAITING.update(refresh_token="v1.gone.AAAA")
    assert revoke_due() == 1
    one.sign_in()
    end.end_session(one.session_id)
    lazyauth(PROVIDERS={})
    assert (revoke_due(), revoked(one)) == (1, [])
