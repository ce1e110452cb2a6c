"""The waiting page in a real Chromium, with scripts and without: it goes on by itself."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from tests.browser import chromium
from tests.support.journey import OAuthClient

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(live_server, settings, sso):
    """The site on plain loopback, as ``runserver`` has it."""
    settings.DEBUG = True
    settings.LAZYAUTH = {**settings.LAZYAUTH, "ISSUER": live_server.url}
    return live_server.url


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_cold_domain_and_an_evicted_one_are_waited_for(address, sso, client_: OAuthClient, scripts):
    """Spec 2: "connecting to corp.example…", a plain refresh, and then it went well."""
    sso.control(hold_documents=True)
    with chromium.running() as browser:
        context = browser.new_context(java_script_enabled=scripts, locale="en-GB")
        page = context.new_page()
        visited: list[str] = []
        page.on("request", lambda request: visited.append(request.url))

        page.goto(f"{address}/authorize?{client_.authorize_query()}")
        page.get_by_label("Sign in with your organisation").fill("ada@acme.example")
        page.get_by_role("button", name="Continue with your organisation").click()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("Connecting")
        expect(page.locator("main")).to_contain_text("acme.example")
        page.wait_for_timeout(2500)
        expect(heading).to_have_text("Connecting")
        assert len([url for url in visited if urlsplit(url).path.endswith("/sso:acme.example")]) >= 2

        sso.control(hold_authorize=True, hold_documents=False)
        while not sso.requests("/authorize"):
            page.wait_for_timeout(50)
        # While the person is away everything is forgotten, and the provider is slow again.
        cache.clear()
        sso.control(hold_authorize=False, hold_documents=True)
        page.wait_for_url("**/callback/**", timeout=20_000)
        expect(heading).to_have_text("Connecting")
        assert sso.requests("/token") == []
        sso.control(hold_documents=False)
        expect(heading).to_have_text("Allow access?", timeout=20_000)
        expect(page.locator("main")).to_contain_text("person-1@acme.example")
        context.close()
    assert len(sso.requests("/token")) == 1
