"""Spec 3: several upstreams in one authorization."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.models import (
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from tests.support.journey import (
    code_for,
    come_back,
    consent,
    form_of,
    get,
    make_browser,
    query_of,
    redeem,
    submit,
)

pytestmark = pytest.mark.django_db

MODES = pytest.mark.parametrize("mode", ["lazy", "immediate"])


@pytest.fixture
def chained(client_, lazyauth):
    """The client, which needs both upstreams."""
    lazyauth(CHAINS=[{"client": client_.client_id, "providers": ["demo", "other"]}])
    return client_


def providers():
    return sorted(UpstreamToken.objects.values_list("provider", flat=True))


def begin(browser, client_, **changes):
    """Go to the first leg; with one way in, an operator's client has no page before it."""
    page = get(browser, f"/authorize?{client_.authorize_query(**changes)}")
    return page if page.status_code == 303 else submit(browser, page, provider="demo")


def to_second_leg(browser, client_, **changes):
    answer = come_back(browser, begin(browser, client_, **changes), subject="ada")
    assert answer.headers["Location"].startswith("https://upstream.example/authorize")
    return answer


def finish(browser, client_, second_leg):
    answer = come_back(browser, second_leg, subject="ada-there", provider="other")
    if not answer.headers["Location"].startswith(client_.redirect_uri):
        answer = consent(browser, answer)
    return query_of(answer.headers["Location"])["code"]


@MODES
def test_the_first_leg_is_the_identity_and_the_others_connect_accounts(chained, lazyauth, mode):
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    code = finish(browser, chained, to_second_leg(browser, chained))
    if mode == "lazy":
        assert (get_user_model().objects.count(), providers()) == (0, [])
    assert redeem(chained, code).status_code == 200
    assert providers() == ["demo", "other"]
    assert {row.user_id for row in UpstreamToken.objects.all()} == {get_user_model().objects.get().pk}
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.subject) == ("demo", "ada")
    assert not DeferredRegistration.objects.exists()


@MODES
def test_a_leg_that_was_added_meanwhile_comes_before_the_code(client_, lazyauth, mode):
    """The consent page stands open while the operator adds an account to the chain."""
    lazyauth(REGISTRATION=mode, CHAINS=[{"client": client_.client_id, "providers": ["demo"]}])
    browser = make_browser()
    page = get(browser, come_back(browser, begin(browser, client_), subject="ada").headers["Location"])
    lazyauth(CHAINS=[{"client": client_.client_id, "providers": ["demo", "other"]}])
    answer = submit(browser, page, decision="allow")
    assert "code=" not in answer.headers.get("Location", "")
    assert not PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).exists()


@MODES
def test_each_leg_has_secrets_of_its_own(chained, lazyauth, mode):
    """I9."""
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    first = begin(browser, chained)
    second = come_back(browser, first, subject="ada")
    assert query_of(first.headers["Location"])["state"] != query_of(second.headers["Location"])["state"]
    # The first leg's state is spent, and the second one's is no good at the first one's address.
    assert come_back(browser, first, subject="eve").status_code == 400
    mixed_up = come_back(browser, second, subject="eve", provider="demo")
    assert query_of(mixed_up.headers["Location"])["error"] == "server_error"
    assert providers() == []
    assert PendingAuthorization.objects.get().status == Status.FAILED


def test_there_is_no_code_before_the_last_leg(chained):
    browser = make_browser()
    to_second_leg(browser, chained)
    pending = PendingAuthorization.objects.get()
    page = get(browser, f"/authorize/{pending.pk}")
    assert page.status_code == 200
    assert b'name="decision"' not in page.content
    answer = submit(browser, page, decision="allow")
    assert answer.status_code == 400
    pending.refresh_from_db()
    assert pending.code_digest is None


@MODES
def test_a_later_leg_that_fails_deletes_what_this_authorization_stored(chained, lazyauth, mode, monkeypatch):
    from django_lazyauth.errors import ProviderDenied
    from tests.support.providers import BelievingProvider

    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    second = to_second_leg(browser, chained)
    assert providers() == (["demo"] if mode == "immediate" else [])
    real = BelievingProvider.complete

    def complete(self, request, pending, private):
        raise ProviderDenied("access_denied")

    monkeypatch.setattr(BelievingProvider, "complete", complete)
    page = come_back(browser, second, subject="ada-there", provider="other")
    monkeypatch.setattr(BelievingProvider, "complete", real)
    assert page.status_code == 200
    assert providers() == []
    assert not DeferredRegistration.objects.exists()
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.user_id, pending.auth_time) == (Status.REQUESTED, None, None)
    # The row is kept: the person may begin again.
    first = submit(browser, page, provider="demo")
    code = finish(browser, chained, come_back(browser, first, subject="ada"))
    assert redeem(chained, code).status_code == 200
    assert providers() == ["demo", "other"]


def test_saying_no_deletes_what_this_authorization_stored(chained, lazyauth):
    lazyauth(REGISTRATION="immediate")
    browser = make_browser()
    answer = come_back(browser, to_second_leg(browser, chained), subject="x", provider="other")
    assert providers() == ["demo", "other"]
    denied = consent(browser, answer, decision="deny")
    assert query_of(denied.headers["Location"])["error"] == "access_denied"
    assert providers() == []


def test_going_back_to_say_who_one_is_begins_anew(chained, lazyauth):
    lazyauth(REGISTRATION="immediate")
    browser = make_browser()
    to_second_leg(browser, chained)
    pending = PendingAuthorization.objects.get()
    choices = get(browser, f"/authorize/{pending.pk}")
    first = submit(browser, choices, provider="demo")
    assert providers() == []
    pending.refresh_from_db()
    assert pending.user_id is None
    redeem(chained, finish(browser, chained, come_back(browser, first, subject="grace")))
    assert {row.subject for row in UpstreamToken.objects.all()} == {"grace", "ada-there"}


def test_only_the_first_leg_is_a_way_in(chained, application):
    type(application).objects.update(registration_source="dcr")
    browser = make_browser()
    page = get(browser, f"/authorize?{chained.authorize_query()}")
    assert b'value="demo"' in page.content
    assert b'value="other"' not in page.content
    assert form_of(page)
    assert submit(browser, page, provider="other").status_code == 200  # the choices again


def test_a_leg_that_is_fresh_already_is_skipped(chained, lazyauth):
    lazyauth(
        CHAINS=[
            {"client": chained.client_id, "providers": ["demo"]},
            {"scope": "email", "providers": ["demo"]},
        ]
    )
    browser = make_browser()
    answer = come_back(browser, begin(browser, chained), subject="ada")
    assert redeem(chained, query_of(consent(browser, answer).headers["Location"])["code"]).status_code == 200
    assert providers() == ["demo"]


def test_a_scope_can_ask_for_a_chain(client_, lazyauth):
    lazyauth(CHAINS=[{"scope": "email", "providers": ["demo", "other"]}])
    browser = make_browser()
    code = finish(browser, client_, to_second_leg(browser, client_))
    redeem(client_, code)
    assert providers() == ["demo", "other"]
    client_.scope = "openid"
    UpstreamToken.objects.all().delete()
    redeem(client_, code_for(client_, subject="grace"))
    assert providers() == ["demo"]


@MODES
def test_who_is_signed_in_already_sees_the_page_and_goes_through_every_leg(client_, lazyauth, mode):
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    UpstreamToken.objects.all().delete()
    lazyauth(CHAINS=[{"client": client_.client_id, "providers": ["demo", "other"]}])
    page = get(browser, f"/authorize?{client_.authorize_query(prompt='consent')}")
    assert page.status_code == 200  # nobody is sent away before they saw for whom
    first = submit(browser, page, account="current")
    second = come_back(browser, first, subject="ada")
    assert redeem(client_, finish(browser, client_, second)).status_code == 200
    assert providers() == ["demo", "other"]
    assert not DeferredRegistration.objects.exists()


@MODES
def test_i21_a_chain_whose_first_provider_is_off_gets_no_code(chained, lazyauth, settings, mode):
    """It says who the person is. The last leg only connects an account."""
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    second = to_second_leg(browser, chained)
    page = get(browser, come_back(browser, second, subject="ada-there", provider="other").headers["Location"])
    ways = settings.LAZYAUTH["PROVIDERS"]
    lazyauth(PROVIDERS=ways | {"demo": ways["demo"] | {"enabled": False}}, CHAINS=[])
    answer = submit(browser, page, decision="allow")
    assert answer.status_code == 400
    assert not PendingAuthorization.objects.filter(code_digest__isnull=False).exists()


def test_silently_no_chain_can_be_gone_through(client_, lazyauth):
    """OpenID Connect Core §3.1.2.6."""
    browser = make_browser()
    redeem(client_, code_for(client_, browser=browser))
    lazyauth(CHAINS=[{"client": client_.client_id, "providers": ["demo", "other"]}])
    answer = get(browser, f"/authorize?{client_.authorize_query(prompt='none')}")
    assert query_of(answer.headers["Location"])["error"] == "interaction_required"
