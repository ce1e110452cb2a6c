"""The access token that a refresh replaced, and a session of which only that is left (I11, I21, record 38).

Beside our own endpoints the site mounts those of django-oauth-toolkit below ``/dot/``.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import (
    AccessToken,
    IDToken,
    RefreshToken,
    get_application_model,
    revoke_access_token,
)

from django_lazyauth.models import LogoutDelivery, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.upkeep.sweep import sweep
from tests.benchmarks.cost import counting
from tests.sessions.conftest import signed_in_at, wants_to_hear
from tests.support.journey import get, make_browser, post_form
from tests.web.site import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.contracts.dot_ground_urls")]


@pytest.fixture
def replaced(ada):
    """The row of the access token that ada's client used before its refresh. It is good until it expires."""
    row = AccessToken.objects.get()
    spent = ada.tokens
    assert ada.refresh().status_code == 200
    assert works(spent["access_token"])
    ada.spent = spent
    return row


def works(access_token) -> bool:
    headers = {"authorization": f"Bearer {access_token}"}
    return get(make_browser(), "/userinfo/", headers=headers).status_code == 200


def refresh(client, token, path="/token/"):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.client_id}
    return post_form(make_browser(), path, form)


def assert_ended(ada, other):
    assert not works(ada.spent["access_token"])
    assert not works(ada.tokens["access_token"])
    assert refresh(ada.client, ada.tokens["refresh_token"]).status_code == 400
    assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()
    assert str(LogoutDelivery.objects.get().session_id) == ada.sid
    assert works(other.tokens["access_token"])
    assert refresh(other.client, other.tokens["refresh_token"]).status_code == 200


# -- doors ---------------------------------------------------------------------------------------------------------


def at_our_endpoint(ada, replaced):
    give_back(ada, "/revoke_token/", ada.spent["access_token"])


def at_the_endpoint_of_dot(ada, replaced):
    give_back(ada, "/dot/revoke_token/", ada.spent["access_token"])


def the_spent_refresh_token_at_our_endpoint(ada, replaced):
    give_back(ada, "/revoke_token/", ada.spent["refresh_token"])


def the_spent_refresh_token_at_the_endpoint_of_dot(ada, replaced):
    give_back(ada, "/dot/revoke_token/", ada.spent["refresh_token"])


def give_back(ada, path, token):
    form = {"token": token, "client_id": ada.client.client_id}
    assert post_form(make_browser(), path, form).status_code == 200


def on_the_page_of_dot(ada, replaced):
    browser = signed_in(replaced.user)
    browser.handler.enforce_csrf_checks = False
    answer = browser.post(f"/dot/authorized_tokens/{replaced.pk}/delete/", secure=True)
    assert answer.status_code == 302


def by_the_function_of_dot(ada, replaced):
    revoke_access_token(replaced)


def by_deleting_the_row(ada, replaced):
    replaced.delete()


def by_deleting_its_id_token(ada, replaced):
    IDToken.objects.filter(access_token=replaced).delete()


@pytest.mark.parametrize(
    "door",
    [
        at_our_endpoint,
        at_the_endpoint_of_dot,
        the_spent_refresh_token_at_our_endpoint,
        the_spent_refresh_token_at_the_endpoint_of_dot,
        on_the_page_of_dot,
        by_the_function_of_dot,
        by_deleting_the_row,
        by_deleting_its_id_token,
    ],
)
def test_i21_who_ends_a_token_that_was_replaced_ends_its_session(ada, maps, replaced, door):
    """RFC 7009 §2.1: the client is told that the token is revoked, so it is."""
    wants_to_hear(ada.client, "https://client.example/out")
    other = signed_in_at(maps)
    door(ada, replaced)
    assert_ended(ada, other)


def test_another_client_revokes_nothing_at_the_endpoint_of_dot(ada, maps, replaced):
    form = {"token": ada.spent["access_token"], "client_id": maps.client_id}
    assert post_form(make_browser(), "/dot/revoke_token/", form).status_code == 200
    assert works(ada.spent["access_token"])
    assert ada.is_alive()


# -- the token endpoint of django-oauth-toolkit --------------------------------------------------------------------


@pytest.fixture
def _reuse_protection(settings):
    settings.OAUTH2_PROVIDER = {"REFRESH_TOKEN_REUSE_PROTECTION": True}


@pytest.mark.usefixtures("_reuse_protection")
@pytest.mark.parametrize("expired", [False, True])
def test_i21_a_replay_that_dot_finds_ends_the_session(ada, maps, replaced, expired):
    """RFC 9700 §4.14. DOT writes by query set, of which no signal tells; nor is any access token left to be deleted."""
    wants_to_hear(ada.client, "https://client.example/out")
    other = signed_in_at(maps)
    if expired:
        AccessToken.objects.filter(refresh_token__token_family=ada.sid).update(expires=timezone.now())
    assert refresh(ada.client, ada.spent["refresh_token"], "/dot/token/").status_code == 400
    assert_ended(ada, other)


@pytest.mark.usefixtures("_reuse_protection")
def test_a_refresh_at_dot_ends_nothing(ada):
    """DOT revokes the refresh token that it replaces, and deletes its access token."""
    for _ in range(2):
        answer = refresh(ada.client, ada.tokens["refresh_token"], "/dot/token/")
        assert answer.status_code == 200
        ada.tokens |= answer.json()
    assert UpstreamToken.objects.filter(session_id=ada.sid).exists()
    assert ada.is_alive()


def test_a_retry_inside_the_grace_of_dot_ends_nothing(ada, settings):
    """DOT revokes the spent token once more."""
    settings.OAUTH2_PROVIDER = {"REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 120}
    token = ada.tokens["refresh_token"]
    for _ in range(2):
        answer = refresh(ada.client, token, "/dot/token/")
        assert answer.status_code == 200
    ada.tokens |= answer.json()
    assert UpstreamToken.objects.filter(session_id=ada.sid).exists()


# -- what ends nothing ---------------------------------------------------------------------------------------------


def test_who_deletes_an_expired_access_token_ends_nothing(ada, replaced):
    AccessToken.objects.filter(pk=replaced.pk).update(expires=timezone.now() - timedelta(seconds=1))
    AccessToken.objects.filter(expires__lt=timezone.now()).delete()
    assert not AccessToken.objects.filter(pk=replaced.pk).exists()
    assert ada.is_alive()


def test_the_sweep_and_the_command_of_dot_end_nothing(ada, replaced):
    AccessToken.objects.filter(pk=replaced.pk).update(expires=timezone.now() - timedelta(seconds=1))
    list(sweep())
    call_command("cleartokens")
    assert not AccessToken.objects.filter(pk=replaced.pk).exists()
    assert ada.is_alive()


def test_an_access_token_of_no_session_is_deleted_alone(ada):
    user, client = get_user_model().objects.get(), get_application_model().objects.get()
    loose = AccessToken.objects.create(
        user=user,
        application=client,
        token="loose",
        scope="openid",
        expires=timezone.now() + timedelta(hours=1),
    )
    loose.delete()
    assert ada.is_alive()


def test_our_own_end_of_a_session_costs_the_same_however_many_tokens_were_replaced(maps, trail):
    """What listens to deletions asks nothing about what we delete ourselves."""
    queries = []
    for client, refreshes in ((maps, 1), (trail, 5)):
        session = signed_in_at(client)
        for _ in range(refreshes):
            assert session.refresh().status_code == 200
        with counting(connection) as cost:
            assert end.end_session(session.sid)
        queries.append(cost.queries)
    assert queries[0] == queries[1]


def test_i11_the_command_of_dot_leaves_no_token_that_the_end_of_the_session_would_miss(ada, replaced):
    """``cleartokens`` deletes spent refresh tokens, by which their access tokens are found."""
    call_command("cleartokens")
    assert not RefreshToken.objects.filter(revoked__isnull=False).exists()
    assert works(ada.tokens["access_token"])
    end.end_session(ada.sid)
    assert not works(ada.spent["access_token"])
    assert not works(ada.tokens["access_token"])
