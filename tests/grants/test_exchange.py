"""Spec 1, Exchange: the user is written when the code is."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from tests.support.journey import code_for, get, make_browser, post_form, redeem

pytestmark = pytest.mark.django_db

User = get_user_model()


def counts():
    return {
        "users": User.objects.count(),
        "identities": ProviderIdentity.objects.count(),
        "vault": UpstreamToken.objects.count(),
        "access": AccessToken.objects.count(),
        "refresh": RefreshToken.objects.count(),
    }


NOTHING = {"users": 0, "identities": 0, "vault": 0, "access": 0, "refresh": 0}
ONE_OF_EACH = {"users": 1, "identities": 1, "vault": 1, "access": 1, "refresh": 1}


def test_nothing_about_a_new_person_stands_before_the_code_is_redeemed(client_):
    """I4."""
    code_for(client_)
    assert counts() == NOTHING
    assert Consent.objects.count() == 0


def test_redeeming_the_code_writes_user_identity_vault_and_tokens(client_):
    """I3."""
    answer = redeem(client_, code_for(client_))
    assert answer.status_code == 200, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 600
    assert set(body["scope"].split()) == {"openid", "profile", "email"}
    assert body["id_token"]
    assert counts() == ONE_OF_EACH
    assert DeferredRegistration.objects.count() == 0
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.EXCHANGED
    assert RefreshToken.objects.get().token_family == pending.session_id
    assert UpstreamToken.objects.get().session_id == pending.session_id


def test_a_new_person_gets_the_claims_of_the_scopes(client_):
    """OpenID Connect Core §5.4."""
    body = redeem(client_, code_for(client_)).json()
    browser = make_browser()
    info = get(browser, "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert info.status_code == 200, (info.status_code, info.content, info.headers)
    assert info.json()["email"] == "ada@people.example"
    assert info.json()["email_verified"] is True
    assert info.json()["given_name"] == "Ada"


def test_a_failing_finalize_leaves_the_code_usable_and_nothing_written(client_):
    """Spec 1: server_error, no-store, and the next try succeeds."""
    from tests.support.providers import BelievingProvider

    def fail():
        raise RuntimeError("the webhook said secret-word")

    code = code_for(client_)
    BelievingProvider.before_finalize.append(fail)
    answer = redeem(client_, code)
    assert answer.status_code == 500
    assert json.loads(answer.content) == {"error": "server_error"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert counts() == NOTHING
    pending = PendingAuthorization.objects.get()
    assert (pending.failed_attempts, pending.last_error) == (1, "RuntimeError")
    BelievingProvider.before_finalize.clear()
    assert redeem(client_, code).status_code == 200
    assert counts() == ONE_OF_EACH


def test_a_replayed_code_leaves_no_live_token(client_):
    """I2."""
    code = code_for(client_)
    body = redeem(client_, code).json()
    replay = redeem(client_, code)
    assert replay.status_code == 400
    assert replay.json()["error"] == "invalid_grant"
    assert AccessToken.objects.count() == 0
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
    assert UpstreamToken.objects.count() == 0
    info = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert info.status_code == 401
    refreshed = post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": body["refresh_token"],
            "client_id": client_.client_id,
        },
    )
    assert refreshed.json()["error"] == "invalid_grant"
