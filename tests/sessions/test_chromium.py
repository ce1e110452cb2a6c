"""The account page in a real Chromium, with scripts and without."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from playwright.sync_api import expect

from django_lazyauth.models import ProviderIdentity
from tests.browser import chromium
from tests.sessions.conftest import signed_in_at
from tests.web.site import signed_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


@pytest.fixture
def address(live_server, settings):
    """The site on plain loopback, as ``runserver`` has it."""
    settings.DEBUG = True
    settings.LAZYAUTH = {**settings.LAZYAUTH, "ISSUER": live_server.url}
    return live_server.url


@pytest.fixture
def ada(address, trail):
    """Signed in at a client, on another device."""
    return signed_in_at(trail)


@pytest.fixture
def session_cookie(ada):
    return signed_in(get_user_model().objects.get()).cookies["sessionid"].value


def opened(browser, address, cookie, scripts):
    context = browser.new_context(java_script_enabled=scripts, locale="en-GB")
    complaints = []
    context.on("console", lambda message: complaints.append(message.text))
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/account/sessions")
    return page, complaints


@SCRIPTS
def test_a_person_ends_a_session_and_its_refresh_token_is_dead(address, ada, session_cookie, maps, scripts):
    other = signed_in_at(maps)
    with chromium.running() as browser:
        page, complaints = opened(browser, address, session_cookie, scripts)
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
        expect(page.get_by_role("button", name="Sign out of Maps")).to_be_visible()
        page.get_by_role("button", name="Sign out of Trail Journal").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign out of Trail Journal?")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("Trail Journal is signed out.")
        expect(page.get_by_role("button", name="Sign out of Trail Journal")).to_have_count(0)
        expect(page.get_by_role("button", name="Sign out of Maps")).to_be_visible()
        assert complaints == []
    assert not ada.is_alive()
    assert other.is_alive()


@SCRIPTS
def test_a_person_connects_an_account_and_never_loses_the_last(
    address, upstream, ada, session_cookie, scripts
):
    upstream.control(sub="ada-at-acme")
    with chromium.running() as browser:
        page, _complaints = opened(browser, address, session_cookie, scripts)
        page.get_by_role("link", name="How you can sign in").click()
        expect(page.get_by_text("Your only way to sign in")).to_be_visible()
        page.get_by_role("button", name="Connect Acme").click()
        expect(page.get_by_role("status")).to_contain_text("The account is connected")
        page.get_by_role("link", name="How you can sign in").click()
        page.get_by_role("button", name="Disconnect Demo").click()
        page.get_by_role("button", name="Disconnect").click()
        expect(page.get_by_role("status")).to_contain_text("no longer connected.")
        page.get_by_role("link", name="How you can sign in").click()
        expect(page.get_by_text("Your only way to sign in")).to_be_visible()
        expect(page.get_by_role("button", name="Disconnect")).to_have_count(0)
    assert [(row.provider, row.subject) for row in _identities()] == [("acme", "ada-at-acme")]


@SCRIPTS
def test_a_cold_domain_is_waited_for_then_connected(address, sso, ada, session_cookie, scripts):
    """Issue 3, done when 3: linking, cold and evicted in between."""
    sso.control(hold_documents=True, sub="ada-at-acme")
    with chromium.running() as browser:
        page, _complaints = opened(browser, address, session_cookie, scripts)
        page.get_by_role("link", name="How you can sign in").click()
        page.get_by_label("Connect your organisation").fill("ada@acme.example")
        page.get_by_role("button", name="Connect with your organisation").click()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("Connecting")
        page.wait_for_timeout(1500)
        expect(heading).to_have_text("Connecting")

        sso.control(hold_authorize=True, hold_documents=False)
        while not sso.requests("/authorize"):
            page.wait_for_timeout(50)
        cache.clear()
        sso.control(hold_authorize=False, hold_documents=True)
        page.wait_for_url("**/callback/**", timeout=20_000)
        expect(heading).to_have_text("Connecting")
        sso.control(hold_documents=False)
        expect(page.get_by_role("status")).to_contain_text("The account is connected", timeout=20_000)
        expect(page.locator("main")).to_contain_text("Acme Corporation")
    assert [(row.provider, row.subject) for row in _identities()] == [
        ("demo", "ada"),
        ("sso:acme.example", "ada-at-acme"),
    ]


def test_a_person_signs_in_for_the_page_and_out_again(address, upstream, ada):
    ProviderIdentity.objects.create(
        user=get_user_model().objects.get(), provider="acme", subject="ada-at-acme", issuer=upstream.issuer
    )
    upstream.control(sub="ada-at-acme")
    with chromium.running() as browser:
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(f"{address}/account/sessions")
        page.get_by_role("button", name="Continue with Acme").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
        page.get_by_role("link", name="Sign out", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign out?")
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
        page.goto(f"{address}/account/sessions")
        expect(page.get_by_role("button", name="Continue with Acme")).to_be_visible()
    assert ada.is_alive()


def _identities():
    return list(ProviderIdentity.objects.order_by("pk"))
