"""The account page: what a person sees, and ends; how they add a way in, and never lose the last one."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import AccessToken, get_application_model

from django_lazyauth.models import Consent, PendingAuthorization, ProviderIdentity, Status, UpstreamToken
from tests.sessions.conftest import signed_in_at
from tests.support.journey import (
    OAuthClient,
    code_for,
    come_back,
    get,
    make_browser,
    post,
    query_of,
    redeem,
    submit,
)
from tests.support.waiting import follow_waiting
from tests.web.site import assert_error_page, signed_in, soup_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/account/sessions"


@pytest.fixture
def browser(ada):
    return signed_in(get_user_model().objects.get())


def opened(browser, query=""):
    page = get(browser, f"{PAGE}{query}")
    assert page.status_code == 200, page.headers
    return page


def press(browser, page, action, **fields):
    """Press the button of the form that has these hidden fields, and say yes where the page asks once more."""
    asked = press_once(browser, page, action, **fields)
    return press_once(browser, asked, action, **fields) if asked.status_code == 200 else asked


def press_once(browser, page, action, **fields):
    for form in soup_of(page).find_all("form"):
        found = {i["name"]: i.get("value", "") for i in form.find_all("input") if i.get("name")}
        names = {button.get("value") for button in form.find_all("button")} | {found.get("action")}
        if action in names and all(found.get(name) == str(value) for name, value in fields.items()):
            return post(browser, form["action"], {"action": action} | found)
    raise AssertionError(f"no form for {action} {fields}")


def text(page):
    return re.sub(r"\s+", " ", soup_of(page).main.get_text(" "))


def told(browser, response):
    assert response.status_code == 303, response.content
    page = get(browser, response.headers["Location"])
    message = soup_of(page).find(attrs={"role": ["status", "alert"]})
    return message.get_text(strip=True)


# -- what is seen ---------------------------------------------------------------------------------------------


def test_it_shows_where_the_person_is_signed_in(browser, ada, maps):
    signed_in_at(maps)
    words = text(opened(browser))
    for word in ("Trail Journal", "Maps", "client.example", "by Demo", "ada@people.example", "last used"):
        assert word in words
    assert len(soup_of(opened(browser)).find_all("button", {"value": "end"})) == 2


def test_what_a_client_calls_itself_is_escaped_and_marked(browser, ada):
    get_application_model().objects.update(name="<b>Bank\u202e</b>", registration_source="dcr")
    page = opened(browser)
    assert b"<b>Bank" not in page.content
    assert "\u202e" not in page.content.decode()
    assert "unverified" in text(page)


@pytest.mark.parametrize(
    ("language", "words"), [("de", "Wo Sie angemeldet sind"), ("fr", "Où vous êtes connecté")]
)
def test_it_speaks_the_persons_language(browser, language, words):
    page = browser.get(PAGE, secure=True, headers={"accept-language": language})
    assert words in text(page)
    assert page.headers["Content-Language"] == language


def test_nobody_else_sees_it(ada):
    answer = get(make_browser(), PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/sign-in")
    assert get(make_browser(), f"{PAGE}/").status_code == 303


def test_its_headers_keep_it_the_persons(browser):
    page = opened(browser)
    assert page.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert not soup_of(page).find_all("script")


@pytest.mark.parametrize("done", ["x", "<script>", "linked&done=taken", "%00", "%ED%A0%80", "x" * 9000])
def test_only_words_of_ours_are_told(browser, done):
    page = get(browser, f"{PAGE}?done={done}")
    assert page.status_code == 200
    assert b"<script>" not in page.content


def test_sessions_that_began_in_this_browser_are_marked(ada, maps):
    """Of a browser that registered, signed on once more without a provider, or signed in again."""
    opened(ada.browser)
    signed_in_at(maps, browser=ada.browser)
    elsewhere = signed_in_at(maps)
    for browser, count in (
        (ada.browser, 2),
        (elsewhere.browser, 1),
        (signed_in(get_user_model().objects.get()), 0),
    ):
        page = soup_of(opened(browser))
        assert len(page.find_all("button", {"value": "end"})) == 3
        assert [mark.get_text() for mark in page.select(".lazyauth-here")] == ["this browser"] * count


# -- what is ended --------------------------------------------------------------------------------------------


def test_ending_a_session_kills_its_refresh_token_and_no_other(browser, ada, maps):
    other = signed_in_at(maps)
    answer = press(browser, opened(browser), "end", session=ada.sid)
    assert told(browser, answer) == "Trail Journal is signed out."
    assert not ada.is_alive()
    assert not UpstreamToken.objects.filter(session_id=ada.sid).exists()
    assert other.is_alive()
    assert "_auth_user_id" in browser.session


def test_all_can_be_ended_at_once(browser, ada, maps, trail):
    other, grace = signed_in_at(maps), signed_in_at(trail, subject="grace")
    press(browser, opened(browser), "end_all")
    assert not ada.is_alive()
    assert not other.is_alive()
    assert grace.is_alive()


def test_what_was_allowed_can_be_withdrawn(browser, ada, maps):
    other = signed_in_at(maps)
    assert "See your name" in text(opened(browser))
    press(browser, opened(browser), "withdraw", client="trail")
    assert not ada.is_alive()
    assert other.is_alive()
    assert [row.client.client_id for row in Consent.objects.all()] == ["maps"]


def test_what_was_allowed_says_where_it_counts(browser, trail, lazyauth):
    """Spec 10: each resource once, in words."""
    lazyauth(RESOURCE_NAMES={"/mcp": "Your notes"})
    for resource in ("https://auth.example/mcp", "https://auth.example/mcp/", "https://api.example/v1"):
        page = get(browser, f"/authorize?{trail.authorize_query(resource=resource)}")
        submit(browser, page, decision="allow")
    places = soup_of(opened(browser)).find(id="applications").find(class_="lazyauth-resources")
    shown = [line.get_text(" | ") for line in places.find_all("li")]
    assert shown == ["Your notes | auth.example", "api.example | /v1"]


def forged(browser, **fields):
    token = soup_of(opened(browser)).find("input", {"name": "form_token"})["value"]
    return post(browser, PAGE, {"form_token": token, "sure": "1"} | fields)


def test_somebody_elses_session_is_gone_already(browser, ada, trail):
    grace = signed_in_at(trail, subject="grace")
    answer = forged(browser, action="end", session=grace.sid)
    assert told(browser, answer) == "That was over already."
    assert grace.is_alive()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"action": "x"},
        {"action": "end"},
        {"action": "end", "session": "x"},
        {"action": "end", "session": "\x00"},
        {"action": "unlink"},
        {"action": "unlink", "identity": "x"},
        {"action": "unlink", "identity": "9" * 30},
        {"action": "unlink", "identity": "²"},
        {"action": "withdraw", "client": "\x00"},
        {"action": "link", "provider": "\x00"},
        {"action": "x" * 70_000},
    ],
)
def test_a_form_that_is_no_form_of_ours_is_a_page(browser, fields):
    """I18."""
    assert_error_page(forged(browser, **fields))


@pytest.mark.parametrize("client", ["", "nobody", "x" * 300, "é"])
def test_a_client_that_is_not_there_has_nothing_to_withdraw(browser, client):
    assert told(browser, forged(browser, action="withdraw", client=client)) == "That was over already."


def test_a_form_needs_the_token_of_this_persons_page(browser, ada, trail):
    """CSRF: another site knows no token, and that of another person is another one."""
    signed_in_at(trail, subject="grace")
    grace = signed_in(get_user_model().objects.get(email="grace@people.example"))
    theirs = soup_of(opened(grace)).find("input", {"name": "form_token"})["value"]
    for token in ("", "x", theirs, "é"):
        for action in ("end", "end_all", "withdraw", "unlink", "link", "password", "export", "delete"):
            fields = {"form_token": token, "action": action, "session": ada.sid, "client": "trail"}
            assert_error_page(post(browser, PAGE, fields | {"provider": "other", "identity": "1"}))
    assert ada.is_alive()
    assert not PendingAuthorization.objects.filter(link_to__isnull=False).exists()


# -- signing in for it ------------------------------------------------------------------------------------------


def test_a_site_without_a_login_page_signs_people_in_for_it(ada):
    browser = make_browser()
    choices = get(browser, get(browser, get(browser, PAGE).headers["Location"]).headers["Location"])
    assert "auth.example" in text(choices)
    answer = come_back(browser, submit(browser, choices, provider="demo"), subject="ada")
    tokens = AccessToken.objects.count()
    back = answer.headers["Location"]
    assert back.startswith("https://auth.example/account/return?")
    page = get(browser, get(browser, back.removeprefix("https://auth.example")).headers["Location"])
    assert "Trail Journal" in text(page)
    assert "auth.example" not in [li.p.get_text() for li in soup_of(page).select(".lazyauth-list > li")]
    assert AccessToken.objects.count() == tokens


def test_who_has_no_account_is_told_so_and_none_is_made(db):
    browser = make_browser()
    choices = get(browser, get(browser, get(browser, PAGE).headers["Location"]).headers["Location"])
    answer = come_back(browser, submit(browser, choices, provider="demo"), subject="nobody")
    page = get(browser, answer.headers["Location"].removeprefix("https://auth.example"))
    assert "no account here yet" in assert_error_page(page)
    assert not get_user_model().objects.exists()


def test_the_codes_of_the_page_are_redeemed_by_nobody(ada):
    """Nobody was asked for consent; a code that somebody got hold of opens nothing."""
    get(make_browser(), "/account/sign-in")
    page = OAuthClient("lazyauth-account", redirect_uri="https://auth.example/account/return")
    browser = signed_in(get_user_model().objects.get())
    answer = get(browser, f"/authorize?{page.authorize_query()}")
    refused = redeem(page, query_of(answer.headers["Location"])["code"])
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    assert AccessToken.objects.count() == 1


def test_the_address_it_signs_in_for_follows_the_issuer(browser, lazyauth):
    get(make_browser(), "/account/sign-in")
    lazyauth(ISSUER="https://elsewhere.example")
    answer = get(make_browser(), "/account/sign-in")
    assert query_of(answer.headers["Location"])["redirect_uri"] == "https://elsewhere.example/account/return"
    assert get_application_model().objects.filter(client_id="lazyauth-account").count() == 1


# -- linking --------------------------------------------------------------------------------------------------


def link(browser, provider="other", **fields):
    return forged(browser, action="link", provider=provider, **fields)


def test_a_second_account_is_added_by_signing_in_with_it(browser, ada, client_):
    upstream = link(browser)
    assert upstream.headers["Location"].startswith("https://upstream.example/authorize?")
    answer = come_back(browser, upstream, subject="ada-there", provider="other")
    assert told(browser, answer) == "The account is connected. You can sign in with it from now on."
    user = get_user_model().objects.get()
    assert set(ProviderIdentity.objects.filter(user=user).values_list("provider", "subject")) == {
        ("demo", "ada"),
        ("other", "ada-there"),
    }
    assert not PendingAuthorization.objects.filter(link_to__isnull=False).exists()
    assert not UpstreamToken.objects.filter(provider="other").exists()
    assert signed_in_at(client_, subject="ada", browser=make_browser()).is_alive()


def test_who_was_signed_out_meanwhile_is_told_so_and_connects_nothing(browser, ada):
    """Nobody else is signed in, and the page does not say it."""
    upstream = link(browser)
    get_user_model().objects.update(is_active=False)
    answer = come_back(browser, upstream, subject="ada-there", provider="other")
    assert assert_error_page(answer) == "You are not signed in."
    assert not ProviderIdentity.objects.filter(provider="other").exists()


def test_one_that_is_connected_already_stays_so(browser, ada):
    answer = come_back(browser, link(browser, "demo"), subject="ada")
    assert told(browser, answer) == "This account was connected already."


def test_somebody_elses_account_stays_theirs(browser, ada, trail):
    """I5."""
    signed_in_at(trail, subject="grace")
    answer = come_back(browser, link(browser, "demo"), subject="grace")
    assert told(browser, answer) == "This account belongs to somebody else here. Nothing was connected."
    assert ProviderIdentity.objects.get(subject="grace").user.email == "grace@people.example"
    assert "_auth_user_id" in browser.session


def test_an_older_sign_in_has_to_be_renewed_first(ada):
    """Threat model: linking needs a signed-in user who re-authenticated."""
    from datetime import timedelta

    browser = signed_in(get_user_model().objects.get(), ago=timedelta(minutes=11))
    page = opened(browser)
    assert soup_of(page).find("button", {"name": "provider"}) is None
    again = soup_of(page).find("a", string=re.compile("Sign in again"))["href"]
    assert "Please sign in again" in told(browser, link(browser))
    pk = ProviderIdentity.objects.get().pk
    assert "Please sign in again" in told(browser, forged(browser, action="unlink", identity=pk))
    asked = get(browser, again).headers["Location"]
    assert query_of(asked)["prompt"] == "login"
    answer = come_back(browser, submit(browser, get(browser, asked), provider="demo"), subject="ada")
    get(browser, answer.headers["Location"].removeprefix("https://auth.example"))
    assert soup_of(opened(browser)).find("button", {"name": "provider"}) is not None


def test_the_answer_in_another_browser_links_nothing(browser, ada, trail):
    """I7: nobody's account is added to somebody else by a link that was sent to them."""
    upstream = link(browser)
    signed_in_at(trail, subject="grace")
    victim = signed_in(get_user_model().objects.get(email="grace@people.example"))
    assert_error_page(come_back(victim, upstream, subject="mallory", provider="other"))
    assert not ProviderIdentity.objects.filter(provider="other").exists()


def test_who_is_signed_in_by_then_must_be_who_began(browser, ada, trail):
    upstream = link(browser)
    signed_in_at(trail, subject="grace")
    signed_in(get_user_model().objects.get(email="grace@people.example"), browser=browser)
    assert_error_page(come_back(browser, upstream, subject="ada-there", provider="other"))
    assert not ProviderIdentity.objects.filter(provider="other").exists()


def test_who_signed_out_meanwhile_links_nothing(browser, ada):
    upstream = link(browser)
    browser.cookies.pop("sessionid")
    assert_error_page(come_back(browser, upstream, subject="ada-there", provider="other"))
    assert not ProviderIdentity.objects.filter(provider="other").exists()


def test_who_was_deactivated_meanwhile_links_nothing(browser, ada):
    upstream = link(browser)
    get_user_model().objects.update(is_active=False)
    assert_error_page(come_back(browser, upstream, subject="ada-there", provider="other"))


def test_an_answer_is_good_once(browser, ada):
    upstream = link(browser)
    come_back(browser, upstream, subject="ada-there", provider="other")
    assert_error_page(come_back(browser, upstream, subject="another", provider="other"))
    assert ProviderIdentity.objects.count() == 2


def test_a_link_is_no_sign_in_and_has_no_code(browser, ada):
    link(browser)
    row = PendingAuthorization.objects.get(link_to__isnull=False)
    assert row.status == Status.SENT_UPSTREAM
    form = {"form_token": "x", "decision": "allow"}
    assert_error_page(post(browser, f"/authorize/{row.pk}", form))
    answer = browser.post(
        f"/authorizations/{row.pk}/id-token",
        '{"id_token": "a.b.c"}',
        content_type="application/json",
        secure=True,
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("provider", ["nobody", "sso:evil.example", ""])
def test_what_cannot_be_added_leads_to_no_upstream(browser, ada, provider):
    answer = link(browser, provider)
    assert not answer.headers.get("Location", "").startswith("https://upstream")
    assert not PendingAuthorization.objects.filter(status=Status.SENT_UPSTREAM).exists()


def test_the_account_that_was_last_used_to_sign_in_stands_first(browser, ada):
    """The default account; a page with one account has nothing to tell."""
    assert "Last used to sign in" not in text(opened(browser))
    come_back(browser, link(browser), subject="ada-there", provider="other")
    assert text(opened(browser)).count("Last used to sign in") == 1
    for chosen in ("other", "demo"):
        ProviderIdentity.objects.update(is_default=False)
        ProviderIdentity.objects.filter(provider=chosen).update(is_default=True)
        lines = soup_of(opened(browser)).find("section", attrs={"aria-labelledby": "lazyauth-identities"})
        first, second = lines.find_all("li")[:2]
        row = ProviderIdentity.objects.get(provider=chosen)
        assert row.subject in first.get_text() or row.email in first.get_text()
        assert "Last used to sign in" in first.get_text()
        assert "Last used to sign in" not in second.get_text()


def test_an_answer_that_comes_twice_says_twice_that_the_account_is_connected(browser, ada):
    """I23: the flow ended with the first, and its row is gone."""
    upstream = link(browser)
    first = come_back(browser, upstream, subject="ada-there", provider="other")
    second = come_back(browser, upstream, subject="ada-there", provider="other")
    assert first.headers["Location"] == second.headers["Location"] == f"{PAGE}?done=linked#ways"
    assert not PendingAuthorization.objects.filter(link_to__isnull=False).exists()
    assert ProviderIdentity.objects.filter(provider="other").count() == 1


def test_another_way_in_goes_and_the_last_one_stays(browser, ada):
    come_back(browser, link(browser), subject="ada-there", provider="other")
    rows = {row.provider: row.pk for row in ProviderIdentity.objects.all()}
    answer = press(browser, opened(browser), "unlink", identity=rows["demo"])
    assert told(browser, answer) == "Demo is no longer connected."
    page = opened(browser)
    assert "Your only way to sign in" in text(page)
    assert soup_of(page).find("button", {"value": "unlink"}) is None
    assert "only way" in told(browser, forged(browser, action="unlink", identity=rows["other"]))
    assert ProviderIdentity.objects.count() == 1


def test_a_cold_domain_is_waited_for_then_linked(sso, browser, ada):
    """Spec 2: link returns the waiting page when cold and when evicted, and then succeeds."""
    from django.core.cache import cache

    sso.control(hold_documents=True)
    answer = link(browser, "sso:", domain="ada@acme.example")
    waiting = get(browser, answer.headers["Location"])
    assert (waiting.status_code, waiting.headers["Retry-After"]) == (202, "2")
    assert waiting.headers["Refresh"].startswith("2; url=?")
    sso.control(hold_documents=False)
    left = follow_waiting(browser, answer)
    assert query_of(left.headers["Location"])["login_hint"] == "ada@acme.example"
    callback = sso.authorize(left.headers["Location"], sub="ada-at-acme").removeprefix("https://auth.example")
    cache.clear()
    sso.control(hold_documents=True)
    assert get(browser, callback).status_code == 202
    assert ProviderIdentity.objects.count() == 1
    sso.control(hold_documents=False)
    answer = get(browser, callback)
    for _ in range(100):
        if answer.status_code != 202:
            break
        import time

        time.sleep(0.05)
        answer = get(browser, callback)
    assert "connected" in told(browser, answer)
    identity = ProviderIdentity.objects.get(subject="ada-at-acme")
    assert (identity.provider, identity.sso_domain) == ("sso:acme.example", "acme.example")
    assert "Acme Corporation" in text(opened(browser))


def test_a_domain_that_may_not_is_told(sso, browser, ada):
    assert "organisation cannot" in told(browser, link(browser, "sso:", domain="evil.example"))


def test_whatever_the_return_address_is_asked_it_leads_home(browser, ada):
    for query in ("", "code=x&state=y", "error=access_denied", urlencode({"code": "\x00"})):
        assert get(browser, f"/account/return?{query}").headers["Location"] == PAGE
        assert_error_page(get(make_browser(), f"/account/return?{query}"))


def test_who_disconnects_what_they_signed_in_with_is_told_that_they_are_out(client_, lazyauth):
    """Spec 10: what ended is said, also where the page that would say it ended with it."""
    browser = make_browser()
    redeem(client_, code_for(client_, browser=browser))
    come_back(browser, link(browser), subject="ada-there", provider="other")
    own = ProviderIdentity.objects.get(provider="demo")
    asked = press_once(browser, opened(browser), "unlink", identity=own.pk)
    said = soup_of(press_once(browser, asked, "unlink", identity=own.pk)).main
    assert said.h1.get_text() == "You are signed out"
    assert said.find(role="status").get_text() == "Demo is no longer connected."
    assert get(browser, said.find("a")["href"]).headers["Location"].startswith("/authorize?")


def test_the_page_opens_again_where_somebody_was(browser, ada):
    """Of the tabs: after an answer, and after no answer."""
    asked = press_once(browser, opened(browser), "withdraw")
    assert soup_of(asked).find("a", class_="lazyauth-button")["href"] == f"{PAGE}#applications"
    answer = press_once(browser, asked, "withdraw")
    assert answer.headers["Location"].endswith("#applications")
