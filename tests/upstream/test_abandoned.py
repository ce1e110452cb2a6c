"""Spec 9, leaving: what a person allowed at an upstream and nobody redeemed here is revoked like a session's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone

from django_lazyauth.models import (
    DeferredRegistration,
    GrantState,
    PendingAuthorization,
    ProviderIdentity,
    UpstreamGrant,
)
from django_lazyauth.sessions import end
from django_lazyauth.sign_in.leg import fail_flow
from django_lazyauth.upkeep.sweep import sweep
from django_lazyauth.upstream.revocations import revoke_due
from django_lazyauth.vault.abandoned import abandon
from tests.support.journey import consent, get, make_browser, post, query_of, redeem, start
from tests.support.processes import together
from tests.vault.test_canary import database_text
from tests.web.site import signed_in, soup_of

from .conftest import go_upstream

pytestmark = pytest.mark.django_db

OFFLINE = ["openid", "profile", "email", "offline_access"]
WAITING = UpstreamGrant.objects.filter(state=GrantState.LEAVING)


@pytest.fixture
def waits(upstream, client_, lazyauth):
    """Let somebody new come back from the provider, and leave them at our consent page."""

    def go(*, revocation="token", offline="always", **levers):
        entry = upstream.config(scopes=OFFLINE, offline=offline, revocation=revocation)
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry}, REGISTRATION="lazy")
        browser = make_browser()
        page = go_upstream(
            upstream, browser, start(browser, client_, provider="acme"), prefix="canary-", **levers
        )
        assert page.status_code in (200, 303), page.content
        assert DeferredRegistration.objects.count() == 1
        return browser, page

    return go


def revoked(upstream) -> list[str]:
    return [request["form"]["token"][:10] for request in upstream.requests("/revoke")]


def deny(flow):
    consent(*flow, decision="deny")


def expire(flow):
    PendingAuthorization.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    list(sweep())


def end_client(flow):
    end.end_flows_at([PendingAuthorization.objects.get().client_id])


def fail(flow):
    fail_flow(PendingAuthorization.objects.get(), error="access_denied")


def delete(flow):
    end.delete_flows(list(PendingAuthorization.objects.values_list("pk", flat=True)))


WAYS = [deny, expire, end_client, fail, delete]


@pytest.mark.parametrize("way", WAYS)
def test_a_registration_that_is_dropped_revokes_its_refresh_token(waits, upstream, way):
    way(waits())
    revoke_due()
    assert revoked(upstream) == ["canary-rt-"]
    assert not UpstreamGrant.objects.exists()
    assert not DeferredRegistration.objects.exists()
    assert not get_user_model().objects.exists()


def test_nobody_waits_for_the_upstream(waits, upstream):
    flow = waits()
    upstream.control(down=True)
    deny(flow)
    assert WAITING.get().user_id is None
    upstream.control(down=False)


@pytest.mark.django_db(transaction=True)
def test_i13_no_row_holds_a_token_in_the_clear(waits, upstream):
    flow = waits()
    upstream.control(down=True)
    fail(flow)
    assert "canary-" not in database_text()
    upstream.control(down=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("revocation", ["grant", "none"])
def test_what_would_end_all_that_the_person_allowed_is_left(waits, upstream, way, revocation):
    """The same person may have sessions by another account here, or come again."""
    way(waits(revocation=revocation))
    assert (revoke_due(), revoked(upstream)) == (0, [])
    assert not UpstreamGrant.objects.exists()


def test_without_a_refresh_token_nothing_is_revoked(waits, upstream):
    deny(waits(omit_refresh_token=True, offline="never"))
    assert (revoke_due(), revoked(upstream)) == (0, [])


def test_what_is_redeemed_is_not_revoked(waits, upstream, client_):
    flow = waits()
    answer = consent(*flow)
    assert redeem(client_, query_of(answer.headers["Location"])["code"]).status_code == 200
    list(sweep())
    assert (revoke_due(), revoked(upstream)) == (0, [])
    assert UpstreamGrant.objects.get().state == GrantState.LIVE


def test_who_is_deactivated_revokes_what_waits_of_them_too(waits, upstream):
    """A flow of somebody who is known: they are withdrawn, so a whole grant may go."""
    user = get_user_model().objects.create_user("ada")
    ProviderIdentity.objects.create(user=user, provider="acme", subject="person-1")
    waits(revocation="grant")
    end.end_all_sessions(user, withdrawn=True)
    revoke_due()
    assert revoked(upstream) == ["canary-rt-"]


@pytest.mark.parametrize("broken", ["v1.gone.AAAA", ""])
def test_what_no_key_opens_is_dropped_all_the_same(waits, upstream, broken):
    flow = waits()
    DeferredRegistration.objects.update(commit=broken)
    fail(flow)
    assert not DeferredRegistration.objects.exists()
    assert (revoke_due(), revoked(upstream)) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_of_two_that_drop_it_at_once_one_leaves_the_token(waits, upstream):
    """A refresh token stands in one row."""
    waits()
    upstream.control(down=True)
    key = PendingAuthorization.objects.get().pk
    together(*[lambda: abandon([key])] * 4)
    assert UpstreamGrant.objects.count() == 1
    upstream.control(down=False)


def test_only_a_grant_that_is_leaving_has_no_person(waits):
    """Also in the database."""
    flow = waits()
    fail(flow)
    with pytest.raises(IntegrityError), transaction.atomic():
        WAITING.update(state=GrantState.LIVE, next_attempt_at=None)


# -- refused, and only linked ----------------------------------------------------------------------------------


@pytest.fixture
def comes_back(upstream, client_, lazyauth):
    """Somebody comes back from the provider; the answer of the callback."""

    def go(**levers):
        entry = upstream.config(scopes=OFFLINE, offline="always", revocation="token")
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry}, REGISTRATION="lazy")
        browser = make_browser()
        return go_upstream(upstream, browser, start(browser, client_, provider="acme"), **levers)

    return go


def test_a_sign_in_that_is_refused_revokes_its_refresh_token(comes_back, upstream):
    user = get_user_model().objects.create_user("ada", is_active=False)
    ProviderIdentity.objects.create(user=user, provider="acme", subject="person-1")
    answer = comes_back(prefix="canary-")
    assert query_of(answer.headers["Location"])["error"] == "access_denied"
    revoke_due()
    assert revoked(upstream) == ["canary-rt-"]
    assert not UpstreamGrant.objects.exists()


def test_linking_an_account_keeps_no_refresh_token_alive(comes_back, upstream):
    """Only who they are there counts."""
    comes_back()
    user = get_user_model().objects.create_user("ada")
    browser = signed_in(user)
    page = soup_of(get(browser, "/account/sessions"))
    token = page.find("input", {"name": "form_token"})["value"]
    fields = {"form_token": token, "action": "link", "provider": "acme"}
    leave = post(browser, "/account/sessions", fields)
    answer = go_upstream(upstream, browser, leave, sub="linked", prefix="canary-")
    assert "done=linked" in answer.headers["Location"]
    revoke_due()
    assert revoked(upstream) == ["canary-rt-"]
    assert ProviderIdentity.objects.get(user=user).subject == "linked"
