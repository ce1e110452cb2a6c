"""A person, a provider or a password that is over, is over from the next request on (spec 4 and 6, I11)."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, IDToken, RefreshToken, get_application_model

from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sessions import end
from django_lazyauth.upkeep.sweep import sweep
from tests.conftest import CONFIDENTIAL_SECRET
from tests.sessions.conftest import signed_in_at
from tests.support.journey import (
    OAuthClient,
    code_for,
    come_back,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    sign_in,
    start,
    submit,
)
from tests.web.site import signed_in

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


def person():
    return get_user_model().objects.get()


def save_inactive():
    user = person()
    user.is_active = False
    user.save()


def update_inactive():
    """What a host's SQL does: nothing of ours hears of it."""
    get_user_model().objects.update(is_active=False)


HOW = pytest.mark.parametrize("deactivate", [save_inactive, update_inactive])


@HOW
class TestDeactivated:
    def test_access_and_refresh_tokens_are_refused(self, ada, deactivate):
        deactivate()
        assert ada.userinfo().status_code == 401
        assert ada.refresh().json()["error"] == "invalid_grant"

    def test_introspection_says_inactive(self, confidential, deactivate):
        tokens = redeem(confidential, code_for(confidential)).json()
        credentials = base64.b64encode(f"{confidential.client_id}:{CONFIDENTIAL_SECRET}".encode()).decode()

        def introspect(token):
            headers = {"authorization": f"Basic {credentials}"}
            return post_form(make_browser(), "/introspect", {"token": token}, headers=headers).json()

        assert introspect(tokens["access_token"])["active"] is True
        deactivate()
        for kind in ("access_token", "refresh_token"):
            assert introspect(tokens[kind]) == {"active": False}

    def test_a_code_is_not_redeemed(self, ada, deactivate):
        code = code_for(ada.client)
        deactivate()
        assert redeem(ada.client, code).json()["error"] == "invalid_grant"
        assert not UpstreamToken.objects.exclude(session_id=ada.sid).exists()

    def test_a_browser_that_was_signed_in_gets_no_code(self, ada, deactivate):
        browser = signed_in(person())
        deactivate()
        answer = get(browser, f"/authorize?{ada.client.authorize_query(prompt='none')}")
        assert query_of(answer.headers["Location"])["error"] == "login_required"

    def test_signing_in_again_is_denied(self, ada, deactivate):
        deactivate()
        browser = make_browser()
        answer = come_back(browser, start(browser, ada.client), subject="ada")
        assert query_of(answer.headers["Location"])["error"] == "access_denied"

    def test_the_exchange_signs_no_browser_in(self, ada, deactivate):
        deactivate()
        get(ada.browser, f"/authorize?{ada.client.authorize_query()}")
        assert "_auth_user_id" not in ada.browser.session

    def test_upstream_tokens_are_handed_to_nobody(self, trail, lazyauth, deactivate):
        lazyauth(UPSTREAM_TOKEN_CLIENTS={"trail": ["demo"]})
        trail.scope = "openid upstream:demo"
        ada = signed_in_at(trail)
        headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}
        assert get(make_browser(), "/upstream-tokens/demo", headers=headers).status_code == 200
        deactivate()
        assert get(make_browser(), "/upstream-tokens/demo", headers=headers).status_code == 401

    def test_the_account_page_is_closed(self, ada, deactivate):
        browser = signed_in(person())
        deactivate()
        assert get(browser, "/account/sessions").headers["Location"] == "/account/sign-in"
        assert get(browser, "/sessions").status_code in {401, 403}

    def test_nothing_is_left_after_the_next_sweep(self, ada, deactivate):
        deactivate()
        list(sweep())
        assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
        assert not AccessToken.objects.exists()
        assert not UpstreamToken.objects.exists()

    def test_who_is_reactivated_has_to_sign_in_again(self, ada, deactivate):
        deactivate()
        list(sweep())
        get_user_model().objects.update(is_active=True)
        assert not ada.is_alive()


def test_who_is_deleted_leaves_no_token(ada):
    person().delete()
    assert ada.userinfo().status_code == 401
    assert ada.refresh().status_code == 400
    for model in (AccessToken, RefreshToken, IDToken, UpstreamToken, ProviderIdentity, PendingAuthorization):
        assert not model.objects.exists(), model


def test_saving_somebody_who_is_active_costs_nothing_more(ada, django_assert_num_queries):
    user = person()
    with django_assert_num_queries(1):
        user.save(update_fields=["first_name"])
    assert ada.is_alive()


@pytest.mark.slow
def test_a_user_model_without_is_active_is_served():
    """Custom models need not have the column: everybody is active then, and gone when deleted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sessions.plain_users_site"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "alive": True,
        "page": 200,
        "alive after a save and a sweep": True,
        "userinfo after deletion": 401,
        "rows left": 0,
    }


# -- what a host may call -----------------------------------------------------------------------------------


def test_all_sessions_of_a_person_end_and_nobody_elses(ada, maps, trail):
    other, grace = signed_in_at(maps), signed_in_at(trail, subject="grace")
    assert end.end_all_sessions(get_user_model().objects.get(email="ada@people.example")) == 2
    assert not ada.is_alive()
    assert not other.is_alive()
    assert grace.is_alive()


def test_what_could_become_a_session_ends_too(ada):
    code = code_for(ada.client)
    end.end_all_sessions(person())
    assert redeem(ada.client, code).json()["error"] == "invalid_grant"


def test_tokens_from_before_this_app_end_too(ada):
    """They have no family."""
    client = get_application_model().objects.get()
    access = AccessToken.objects.create(
        user=person(),
        application=client,
        expires=timezone.now() + timedelta(hours=1),
        scope="openid",
        token="old",
    )
    RefreshToken.objects.create(user=person(), application=client, access_token=access, token="old-refresh")
    headers = {"authorization": "Bearer old"}
    assert get(make_browser(), "/userinfo", headers=headers).status_code == 200
    end.end_all_sessions(person())
    assert get(make_browser(), "/userinfo", headers=headers).status_code == 401
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
    assert not Grant.objects.exists()


# -- a provider that was disabled ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["disabled", "removed"])
class TestProvider:
    def over(self, lazyauth, how):
        config = {"class": "tests.support.providers.BelievingProvider", "enabled": False}
        lazyauth(PROVIDERS={"demo": config} if how == "disabled" else {})

    def test_nobody_signs_in_by_it_any_more(self, ada, lazyauth, how):
        browser = make_browser()
        upstream = start(browser, ada.client)
        self.over(lazyauth, how)
        answer = come_back(browser, upstream, subject="ada")
        assert "Location" not in answer.headers

    def test_a_code_that_it_vouched_for_is_not_redeemed(self, trail, lazyauth, how):
        code = code_for(trail)
        self.over(lazyauth, how)
        assert redeem(trail, code).json()["error"] == "invalid_grant"
        assert not get_user_model().objects.exists()

    def test_its_tokens_are_handed_to_nobody(self, trail, lazyauth, how):
        lazyauth(UPSTREAM_TOKEN_CLIENTS={"trail": ["demo"]})
        trail.scope = "openid upstream:demo"
        ada = signed_in_at(trail)
        headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}
        assert get(make_browser(), "/upstream-tokens/demo", headers=headers).status_code == 200
        self.over(lazyauth, how)
        assert get(make_browser(), "/upstream-tokens/demo", headers=headers).status_code == 409

    def test_sessions_that_it_began_go_on(self, ada, lazyauth, how):
        """The person proved who they are; an operator ends them in the admin, by provider."""
        self.over(lazyauth, how)
        assert ada.is_alive()


# -- a password that was changed ------------------------------------------------------------------------------


@pytest.fixture
def alice(trail, lazyauth):
    """Somebody with a password of ours, signed in on another device; and a flow that changes the password."""
    lazyauth(PROVIDERS={"password": {"type": "password"}})
    user = get_user_model().objects.create_user("alice", "alice@people.example", "the old password")
    ProviderIdentity.objects.create(user=user, provider="password", subject="alice@people.example")
    return signed_in_with_password(trail, "the old password")


def signed_in_with_password(client: OAuthClient, password: str):
    from tests.sessions.conftest import SignedIn

    browser = make_browser()
    page = get(browser, get_location(browser, client))
    answer = submit(browser, page, step="sign_in", email="alice@people.example", password=password)
    return SignedIn(browser, client, redeem(client, code_of(browser, answer)).json())


def get_location(browser, client):
    page = get(browser, f"/authorize?{client.authorize_query()}")
    return submit(browser, page, provider="password").headers["Location"]


def code_of(browser, answer):
    while not answer.headers["Location"].startswith("https://client.example"):
        page = get(browser, answer.headers["Location"])
        answer = page if page.status_code == 303 else submit(browser, page, decision="allow")
    return query_of(answer.headers["Location"])["code"]


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_a_changed_password_ends_the_other_sessions_and_keeps_this_browser(
    alice, trail, lazyauth, mode, monkeypatch
):
    """Who knew the old password is out; who changed it is in, in this browser too."""
    from django_lazyauth.providers import password as provider

    lazyauth(REGISTRATION=mode)
    new_hash = make_password("the new password")

    def verify(self, request, pending, challenge):
        # The mailed code was right: what that takes is tested with the provider.
        identity = provider.Identity("password", "alice@people.example", email="alice@people.example")
        commit = {"kind": "change", "email": "alice@people.example", "password_hash": new_hash}
        return provider.Success(identity, commit=commit)

    monkeypatch.setattr(provider.PasswordProvider, "_sign_in", lambda self, *a: verify(self, *a, None))
    other_browser = signed_in(person())
    browser = make_browser()
    page = get(browser, get_location(browser, trail))
    answer = submit(browser, page, step="sign_in", email="x", password="x")
    tokens = redeem(trail, code_of(browser, answer)).json()
    assert "access_token" in tokens, tokens
    assert person().check_password("the new password")
    assert not alice.is_alive()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert get(make_browser(), "/userinfo", headers=headers).status_code == 200
    assert get(browser, "/account/sessions").status_code == 200
    assert get(other_browser, "/account/sessions").status_code == 303
    assert not DeferredRegistration.objects.exists()


def test_a_sign_in_that_changes_no_password_ends_nothing(alice, trail):
    again = signed_in_with_password(trail, "the old password")
    assert alice.is_alive()
    assert again.is_alive()


# -- whom the client asked for ---------------------------------------------------------------------------------


class TestIdTokenHint:
    """OpenID Connect Core §3.1.2.1: logged in as the one it names, or ``login_required``."""

    def test_who_signs_in_as_the_one_asked_for_gets_in(self, ada):
        location = sign_in(make_browser(), ada.client, id_token_hint=ada.id_token)
        assert "code" in query_of(location)

    @pytest.mark.parametrize("mode", ["lazy", "immediate"])
    def test_who_signs_in_as_somebody_else_does_not(self, ada, lazyauth, mode):
        lazyauth(REGISTRATION=mode)
        browser = make_browser()
        answer = come_back(browser, start(browser, ada.client, id_token_hint=ada.id_token), subject="grace")
        assert query_of(answer.headers["Location"])["error"] == "login_required"
        assert "_auth_user_id" not in browser.session
        assert get_user_model().objects.count() == 1

    def test_who_is_signed_in_already_as_somebody_else_cannot_go_on_as_that(self, ada, trail):
        signed_in_at(trail, subject="grace")
        grace = signed_in(get_user_model().objects.get(email="grace@people.example"))
        page = get(grace, f"/authorize?{trail.authorize_query(id_token_hint=ada.id_token)}")
        answer = submit(grace, page, account="current")
        assert answer.status_code == 200 or "code=" not in answer.headers["Location"]
        assert not PendingAuthorization.objects.filter(status="code_issued").exists()


def test_of_sessions_that_end_a_random_one_is_no_error(db):
    assert end.end_session(uuid7()) is False
