"""What ends while it is used: deletion, unlink and the end of all sessions against exchange, refresh and the vault.

Four processes, twelve rounds each (I11, I21). Afterwards nothing lives, nobody was answered 5xx, and no ending failed.
"""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db.models.signals import pre_delete
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.models import (
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamGrant,
    UpstreamToken,
)
from tests.support.endings import race
from tests.support.journey import code_for, get, make_browser, query_of, redeem, submit
from tests.support.processes import PATIENCE, together, until
from tests.web.site import register_client

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ROUNDS = 12


@pytest.fixture(autouse=True)
def _refreshing(lazyauth):
    demo = {"class": "tests.support.providers.RefreshingProvider"}
    lazyauth(PROVIDERS={"demo": demo, "other": demo})


def round_of(client, subject):
    """Return a person with a session, and what the three others do: refresh, redeem another code, ask the vault."""
    tokens = redeem(client, code_for(client, subject=subject)).json()
    user = get_user_model().objects.get(email=f"{subject}@people.example")
    ProviderIdentity.objects.create(user=user, provider="other", subject=subject)
    session = UpstreamToken.objects.get(user=user)
    UpstreamGrant.objects.filter(pk=session.grant_id).update(expires_at=session.created_at)
    form = client.token_form(code_for(client, subject=subject))
    return user, [
        ["refresh", tokens["refresh_token"], client.client_id],
        ["exchange", form],
        ["vault", session.session_id, "demo", user.pk, session.client_id],
    ]


def assert_answered(results):
    for ended, refreshed, exchanged, asked in results:
        assert ended == []
        assert set(refreshed) <= {200, 400, 401}, refreshed
        assert set(exchanged) <= {200, 400, 401}, exchanged
        assert set(asked) <= {"BundleNotFound", "RefreshExpired", "RefreshTransient"}, asked


def run(client, end, *, of):
    rounds = [round_of(client(number), f"person{number}") for number in range(ROUNDS)]
    works = zip(*[work for _user, work in rounds], strict=True)
    return race([["call", end, of(user)] for user, _work in rounds], *map(list, works))


def assert_nothing_lives():
    assert not RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False).exists()
    assert not AccessToken.objects.exists()
    assert not UpstreamToken.objects.exists()
    assert not UpstreamGrant.objects.exclude(state="leaving").exists()
    assert not DeferredRegistration.objects.exists()
    assert not PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).exists()


@pytest.mark.parametrize("end", ["delete_user", "delete_users"])
def test_i21_a_deletion_under_fire_succeeds_and_nothing_lives(client_, end):
    assert_answered(run(lambda number: client_, end, of=lambda user: user.pk))
    assert_nothing_lives()
    assert not get_user_model().objects.exists()
    assert not ProviderIdentity.objects.exists()


def test_i21_who_consents_while_their_account_is_deleted_gets_no_tokens(client_, waiting):
    """I21: a row that would point to the deleted person waits for the deletion. Neither of the two fails.

    The browser is signed in by another page of the site: no identity is locked, and nothing is open that could end.
    """
    user = get_user_model().objects.create(username="ada")
    browser = make_browser()
    browser.force_login(user)
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    is_ended, is_done = threading.Event(), threading.Event()

    def stand(**_kwargs):
        is_ended.set()
        until(lambda: waiting() == 1 or is_done.is_set())

    def allow():
        assert is_ended.wait(PATIENCE)
        answer = submit(browser, page, decision="allow")
        code = query_of(answer.headers.get("Location", "")).get("code")
        answers = [answer, *([redeem(client_, code)] if code else [])]
        is_done.set()
        return answers

    # After ours, and before Django deletes anything.
    pre_delete.connect(stand, sender=get_user_model())
    try:
        _deleted, answers = together(user.delete, allow)
    finally:
        pre_delete.disconnect(stand, sender=get_user_model())
    assert [answer.status_code for answer in answers] == [400]
    assert not get_user_model().objects.exists()
    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize("end", ["end_all", "deactivate", "unlink"])
def test_i21_an_end_under_fire_leaves_nothing_alive(client_, end):
    assert_answered(run(lambda number: client_, end, of=lambda user: user.pk))
    assert_nothing_lives()


def test_i21_who_deletes_access_tokens_under_fire_ends_their_sessions(client_):
    """The host's own DELETE. A code is another session, so here one process refreshes, and one asks the vault."""
    rounds = [round_of(client_, f"person{number}") for number in range(ROUNDS)]
    works = [[work[kind] for _user, work in rounds] for kind in (0, 2)]
    results = race([["call", "delete_access_tokens", user.pk] for user, _work in rounds], *works)
    assert_answered([[ended, refreshed, [], asked] for ended, refreshed, asked in results])
    assert not RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False).exists()
    assert not AccessToken.objects.exists()
    waiting = PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).values("pk")
    assert not UpstreamToken.objects.exclude(session_id__in=waiting).exists()


@pytest.mark.parametrize("end", ["delete_client", "delete_client_as_operator"])
def test_i21_a_client_under_fire_is_deleted_and_nothing_lives(db, end):
    clients = [register_client(f"client{number}") for number in range(ROUNDS)]
    keys = {client.client_id: client for client in get_application_model().objects.all()}

    def of(user):
        return keys[f"client{user.email.removeprefix('person').partition('@')[0]}"].pk

    assert_answered(run(clients.__getitem__, end, of=of))
    assert_nothing_lives()
    assert not get_application_model().objects.exists()
