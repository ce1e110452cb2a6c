"""The whole way of a person through a browser: new, returning, refusing, in two tabs, in a foreign browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .client import OAuthClient
from .person import ADA, GRACE, UPSTREAM, Somebody
from .site import CLIENT_NAME, Site


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_new_person_is_written_when_the_code_is_redeemed(site: Site, somebody, scripts):
    """I4; OpenID Connect Core §3.1."""
    person, client = somebody(java_script_enabled=scripts), site.client()
    person.open(client)
    assert CLIENT_NAME in person.text
    person.choose(UPSTREAM)
    assert person.page.url.startswith(site.upstream_url)
    person.sign_in_upstream(ADA)
    assert person.page.url.startswith(site.url)
    assert CLIENT_NAME in person.text
    assert ADA.email in person.text
    person.press("Allow")
    assert "code" in client.answer(person.page.url)
    assert site.count("auth_user") == site.count("lazyauth_provideridentity") == 0

    tokens = client.redeem(person.page.url)
    assert {"access_token", "refresh_token", "id_token"} <= tokens.keys()
    assert client.userinfo(tokens)["email"] == ADA.email
    assert site.count("auth_user") == site.count("lazyauth_provideridentity") == 1


def test_the_same_browser_continues_signed_in_and_is_not_asked_again(site: Site, person: Somebody):
    """Neither the upstream nor a page of ours is in the way of somebody who just registered and allowed this."""
    person.allow_as(ADA, site.client())
    person.visited.clear()
    again = site.client()
    person.open(again)
    assert "code" in again.answer(person.page.url)
    assert [url for url in person.visited if url.startswith(site.upstream_url)] == []
    again.redeem(person.page.url)
    assert site.count("auth_user") == 1


def test_a_fresh_browser_signs_in_upstream_and_is_not_asked_again(site: Site, somebody):
    """Consent belongs to the person, not to the browser."""
    somebody().allow_as(ADA, site.client())
    elsewhere, client = somebody(), site.client()
    elsewhere.open(client)
    elsewhere.choose(UPSTREAM)
    elsewhere.sign_in_upstream(ADA)
    assert "code" in client.answer(elsewhere.page.url)


def test_somebody_else_is_asked_all_the_same(site: Site, somebody):
    """I8: the consent of one person says nothing about another."""
    somebody().allow_as(ADA, site.client())
    grace = somebody()
    grace.open(site.client())
    grace.choose(UPSTREAM)
    grace.sign_in_upstream(GRACE)
    assert grace.heading == "Allow access?"


def test_prompt_login_asks_who_it_is_though_somebody_is_signed_in(site: Site, person: Somebody):
    """OpenID Connect Core §3.1.2.1."""
    person.allow_as(ADA, site.client())
    person.open(site.client(), prompt="login")
    assert person.heading == "Sign in"
    assert person.button("Continue as ada@demo.example").count() == 0


def test_select_account_offers_the_account_that_is_signed_in(site: Site, person: Somebody):
    person.allow_as(ADA, site.client())
    client = site.client()
    person.open(client, prompt="select_account")
    person.press(f"Continue as {ADA.email}")
    assert "code" in client.answer(person.page.url)


def test_a_refusal_is_told_to_the_client_and_leaves_nothing(site: Site, person: Somebody):
    """RFC 6749 §4.1.2.1; RFC 9207 §2."""
    client = site.client()
    person.open(client)
    person.choose(UPSTREAM)
    person.sign_in_upstream(ADA)
    person.press("Do not allow")
    assert client.answer(person.page.url)["error"] == "access_denied"
    for table in ("auth_user", "lazyauth_deferredregistration", "lazyauth_upstreamtoken"):
        assert site.count(table) == 0


def test_two_tabs_do_not_disturb_each_other(site: Site, person: Somebody):
    """I7: each flow has its own binding."""
    first, second = site.client(), site.client()
    one = person.open(first)
    two = person.open(second, person.context.new_page())
    person.choose(UPSTREAM, one)
    person.choose(UPSTREAM, two)
    person.sign_in_upstream(ADA, one)
    two.reload()
    # Ada is signed in upstream by now; this tab need only go there once more.
    two.go_back()
    person.choose(UPSTREAM, two)
    person.press("Allow", two)
    person.press("Allow", one)
    assert "code" in first.answer(one.url)
    assert "code" in second.answer(two.url)
    first.redeem(one.url)
    second.redeem(two.url)
    assert site.count("auth_user") == 1


def test_a_callback_in_another_browser_is_refused_and_the_first_can_go_on(site: Site, somebody):
    """I7; RFC 9700 §4.7: the attacker sends the victim the way to the upstream that he began."""
    attacker, victim, client = somebody(), somebody(), site.client()
    attacker.open(client)
    attacker.choose(UPSTREAM)
    victim.page.goto(attacker.page.url)
    victim.sign_in_upstream(GRACE)

    assert victim.page.url.startswith(f"{site.url}/callback/")
    assert victim.heading == "This did not work"
    assert "another browser" in victim.text
    assert GRACE.email not in victim.page.content()
    victim.excuse_status(400)

    attacker.sign_in_upstream(ADA)
    assert attacker.heading == "Allow access?"
    assert ADA.email in attacker.text


def test_a_request_with_a_foreign_redirect_uri_ends_on_a_page(site: Site, person: Somebody):
    """RFC 6749 §4.1.2.1: never send anybody to an address that the client did not register."""
    person.open(site.client(), redirect_uri=f"{site.redirect_uri}/elsewhere")
    assert person.page.url.startswith(site.url)
    assert person.heading == "The application does not work here"
    person.excuse_status(400)


def ask_ada(site: Site, person: Somebody) -> OAuthClient:
    """Go to the consent page as Ada."""
    client = site.client()
    person.open(client)
    person.choose(UPSTREAM)
    person.sign_in_upstream(ADA)
    return client


def test_going_back_after_allow_changes_nothing(site: Site, person: Somebody):
    """The page says that the request is over, claims nothing else, and the code that went out stays good."""
    client = ask_ada(site, person)
    person.press("Allow")
    answer = person.page.url
    person.page.go_back()
    assert person.heading == "This did not work"
    assert "Nothing was shared" not in person.text
    person.excuse_status(400)
    client.redeem(answer)


@pytest.mark.parametrize(("button", "told"), [("Allow", "code"), ("Do not allow", "error")])
def test_a_double_click_ends_at_the_client(site: Site, person: Somebody, button, told):
    """I23: the browser drops the answer of the first click, and shows that of the second."""
    client = ask_ada(site, person)
    person.button(button).dblclick(delay=0)
    person.page.wait_for_url(f"{site.redirect_uri}?**")
    assert told in client.answer(person.page.url)
    assert site.count("lazyauth_pendingauthorization") == 1


def test_a_double_click_on_a_provider_leads_on(site: Site, person: Somebody):
    """I9, I23: whichever answer the browser shows, its state is good."""
    client = site.client()
    person.open(client)
    person.button(f"Continue with {UPSTREAM}").dblclick(delay=0)
    person.page.wait_for_url(f"{site.upstream_url}/**")
    person.sign_in_upstream(ADA)
    person.press("Allow")
    client.redeem(person.page.url)


def test_a_callback_that_is_opened_again_goes_on(site: Site, person: Somebody):
    """I23: a restored tab, or a reload of the upstream's last redirect."""
    client = ask_ada(site, person)
    callback = next(url for url in person.visited if url.startswith(f"{site.url}/callback/"))
    person.page.goto(callback)
    assert person.heading == "Allow access?"
    person.press("Allow")
    client.redeem(person.page.url)


# -- by popup --------------------------------------------------------------------------------------------


def open_popup(person: Somebody, url: str) -> Page:
    with person.page.expect_popup() as popup:
        person.page.evaluate("url => { window.popup = window.open(url, 'sign-in') }", url)
    popup.value.wait_for_load_state()
    return popup.value


def test_a_sign_in_by_popup_tells_its_opener(site: Site, person: Somebody):
    """Spec 10, HTML §7.1.3: a single-page app opens the sign-in, hears of its end, and sees it close."""
    person.page.goto(site.redirect_uri)
    person.page.evaluate("addEventListener('message', event => { window.heard = event.data })")
    client = site.client()
    popup = open_popup(person, client.url())
    person.choose(UPSTREAM, popup)
    person.sign_in_upstream(ADA, popup)
    assert not person.page.evaluate("window.popup.closed")
    person.press("Allow", popup)
    answer = popup.url
    popup.evaluate("opener.postMessage(location.href, origin)")
    person.page.wait_for_function("window.heard")
    assert person.page.evaluate("window.heard") == answer
    assert person.page.evaluate("window.popup.location.href") == answer
    popup.close()
    person.page.wait_for_function("window.popup.closed")
    client.redeem(answer)


def test_an_account_page_has_no_opener(site: Site, person: Somebody):
    """Spec 10: nobody's page reaches into it. It shows too that the test above would notice."""
    person.allow_as(ADA, site.client())
    person.page.goto(site.redirect_uri)
    popup = open_popup(person, f"{site.url}/account/sessions")
    assert popup.evaluate("opener") is None


@pytest.mark.usefixtures("unverified")
def test_a_client_that_nobody_checked_is_called_unverified(site: Site, person: Somebody):
    person.open(site.client())
    assert "unverified" in person.text
    assert "Nobody has checked this application." in person.text


def test_a_request_that_asks_for_an_account_opens_with_creating_one(site: Site, person: Somebody):
    """Initiating User Registration via OpenID Connect §4."""
    person.open(site.client(), prompt="create")
    assert person.heading == "Create an account"
