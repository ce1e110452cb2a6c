"""Spec 1, Sweeping: what is over goes, what is not stays."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Status, UpstreamToken
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import make_browser, post_form, redeem, start
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db


def swept(after: timedelta, **kwargs) -> dict[str, int]:
    return {one.kind: one.count for one in sweep(now=timezone.now() + after, **kwargs)}


def test_a_live_flow_and_its_session_are_left_alone(client_):
    redeem(client_, code_for(client_))
    start(make_browser(), client_)
    assert set(swept(timedelta(seconds=1)).values()) == {0}
    assert PendingAuthorization.objects.count() == 2
    assert UpstreamToken.objects.count() == RefreshToken.objects.count() == 1


def test_an_abandoned_flow_goes_with_what_was_deferred(client_, lazyauth):
    """I4."""
    lazyauth(SIGN_IN_LOG_RETENTION=0)
    code_for(client_)
    assert DeferredRegistration.objects.count() == 1
    assert swept(timedelta(minutes=16))["pending authorizations"] == 1
    assert PendingAuthorization.objects.count() == DeferredRegistration.objects.count() == 0


def test_an_unredeemed_immediate_flow_leaves_no_upstream_token(client_, lazyauth):
    lazyauth(REGISTRATION="immediate")
    code_for(client_)
    assert UpstreamToken.objects.count() == 1
    swept(timedelta(minutes=16))
    assert UpstreamToken.objects.count() == 0


def test_an_exchanged_row_stays_until_its_retention_is_over(client_, lazyauth):
    """I2 needs it: a replay must be recognised."""
    lazyauth(SIGN_IN_LOG_RETENTION=0)
    body = redeem(client_, code_for(client_)).json()
    form = {"token": body["refresh_token"], "client_id": client_.client_id}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200
    swept(timedelta(hours=23))
    assert PendingAuthorization.objects.get().status == Status.EXCHANGED
    swept(timedelta(hours=25))
    assert not PendingAuthorization.objects.exists()


def test_the_row_of_a_session_stays_while_the_session_lives(client_, lazyauth):
    """Spec 6: a person sees by which provider they are signed in, and since when."""
    lazyauth(SIGN_IN_LOG_RETENTION=0)
    redeem(client_, code_for(client_))
    swept(timedelta(days=13))
    assert PendingAuthorization.objects.get().provider == "demo"
    assert UpstreamToken.objects.count() == 1
    swept(timedelta(days=15))
    swept(timedelta(days=15))
    assert not PendingAuthorization.objects.exists()


def test_an_expired_access_token_stays_while_its_refresh_token_lives(client_):
    body = redeem(client_, code_for(client_)).json()
    swept(timedelta(hours=1))
    assert AccessToken.objects.count() == IDToken.objects.count() == 1
    refreshed = post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": body["refresh_token"],
            "client_id": client_.client_id,
        },
    )
    assert refreshed.status_code == 200


def test_a_session_that_idled_too_long_goes_whole(client_):
    redeem(client_, code_for(client_))
    swept(timedelta(days=15))
    assert AccessToken.objects.count() == RefreshToken.objects.count() == 0
    swept(timedelta(days=91))
    assert IDToken.objects.count() == UpstreamToken.objects.count() == 0


def test_a_spent_refresh_token_stays_so_that_its_replay_is_recognised(client_):
    """I10."""
    body = redeem(client_, code_for(client_)).json()
    form = {
        "grant_type": "refresh_token",
        "refresh_token": body["refresh_token"],
        "client_id": client_.client_id,
    }
    assert post_form(make_browser(), "/token", form).status_code == 200
    # The session goes on: its token was renewed a week before the sweep.
    renewed_at = timezone.now() + timedelta(days=13)
    RefreshToken.objects.filter(revoked__isnull=True).update(created=renewed_at)
    swept(timedelta(days=20))
    assert RefreshToken.objects.filter(revoked__isnull=True).exists()
    assert post_form(make_browser(), "/token", form).json()["error"] == "invalid_grant"
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()


def test_small_batches_sweep_everything(client_):
    for number in range(7):
        code_for(client_, subject=f"person-{number}")
    assert swept(timedelta(minutes=16), batch_size=2)["pending authorizations"] == 7


def test_the_command_says_what_went(client_):
    code_for(client_)
    PendingAuthorization.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    output = StringIO()
    call_command("sweep_lazyauth", stdout=output)
    assert "pending authorizations: 1" in output.getvalue()
