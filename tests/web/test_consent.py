"""Spec 1, Consent: nobody speaks for somebody else, and the person sees who asks."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.utils import timezone
from django.utils.translation import gettext_lazy
from oauth2_provider.models import get_application_model

from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from django_lazyauth.web.binding import form_token
from django_lazyauth.web.consent import consent_form
from tests.support.journey import (
    ISSUER,
    OAuthClient,
    code_for,
    come_back,
    form_of,
    get,
    make_browser,
    post,
    query_of,
    redeem,
    sign_in,
    start,
    submit,
)

from .site import (
    answer_to,
    ask,
    assert_error_page,
    change_client,
    is_choice_page,
    is_consent_page,
    make_user,
    register_client,
    rows,
    self_registered,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db

COOKIE = re.compile(r"__Host-lazyauth-([0-9a-f]{32})\Z")


def consent_page(browser, client, *, subject="ada", **changes):
    """Go to the consent page as a person who signs in at the provider; return the page and its row."""
    answer = come_back(browser, start(browser, client, **changes), subject=subject)
    page = get(browser, answer.headers["Location"])
    assert is_consent_page(page)
    return page, PendingAuthorization.objects.get(pk=answer.headers["Location"].rpartition("/")[2])


def bindings(browser):
    return {
        name: cookie.value for name, cookie in browser.cookies.items() if "lazyauth-" in name and cookie.value
    }


def codes() -> int:
    return PendingAuthorization.objects.filter(status__in=[Status.CODE_ISSUED, Status.EXCHANGED]).count()


# -- one browser -----------------------------------------------------------------------------------------


def test_the_upstream_url_of_an_attackers_flow_is_worthless_in_the_victims_browser(client_):
    """I7: the attacker begins in his browser, and the victim comes back from the upstream."""
    attacker, victim = make_browser(), make_browser()
    upstream = start(attacker, client_)
    start(victim, client_)
    assert_error_page(come_back(victim, upstream, subject="victim"))
    assert codes() == 0
    assert not DeferredRegistration.objects.exists()
    assert SESSION_KEY not in victim.session
    assert "code" in answer_to(
        client_, submit(attacker, get(attacker, come_back_url(attacker, upstream)), decision="allow")
    )


def come_back_url(browser, upstream, subject="attacker"):
    return come_back(browser, upstream, subject=subject).headers["Location"]


def test_a_consent_page_opens_in_no_other_browser(client_):
    """I7."""
    attacker, victim = make_browser(), signed_in(make_user("victim"))
    page, pending = consent_page(attacker, client_, subject="attacker")
    action, fields = form_of(page)
    assert_error_page(get(victim, action))
    assert_error_page(post(victim, action, fields | {"decision": "allow"}))
    assert codes() == 0
    # A guess at the cookie does not help, nor does a cookie without the flow's secret.
    victim.cookies[f"__Host-lazyauth-{pending.pk.hex}"] = f"{int(time.time())}.{'A' * 43}"
    assert_error_page(post(victim, action, fields | {"decision": "allow"}))
    assert codes() == 0
    assert "code" in answer_to(client_, submit(attacker, page, decision="allow"))


def test_the_first_page_of_one_browser_is_refused_in_another(client_):
    """I7: the signed request alone is not enough."""
    attacker, victim = make_browser(), make_browser()
    action, fields = form_of(ask(attacker, client_))
    ask(victim, client_)
    assert_error_page(post(victim, action, fields | {"provider": "demo"}))
    assert PendingAuthorization.objects.count() == 0
    assert post(attacker, action, fields | {"provider": "demo"}).status_code == 303


def test_a_secret_that_somebody_made_up_opens_no_page_of_another_browser(client_):
    """I7: the page names the digest of the one secret that it goes with."""
    browser, attacker = signed_in(make_user("ada")), signed_in(make_user("attacker"))
    action, fields = form_of(ask(browser, client_, prompt="select_account"))
    [(name, _)] = bindings(browser).items()
    made_up = f"{int(time.time())}.{'A' * 43}"
    attacker.cookies[name] = made_up
    forged = fields | {"form_token": form_token(made_up, "choose"), "provider": "demo"}
    assert_error_page(post(attacker, action, forged))
    assert PendingAuthorization.objects.count() == 0
    assert post(browser, action, fields | {"provider": "demo"}).status_code == 303


def test_the_consent_of_a_signed_in_victim_cannot_be_posted_by_a_page_of_the_attacker(client_):
    """I7, I8: the attacker has fetched a form of his own and lets the victim's browser post it."""
    attacker, victim = signed_in(make_user("attacker")), signed_in(make_user("victim"))
    ask(victim, client_)
    action, fields = form_of(ask(attacker, client_))
    response = post(victim, action, fields | {"decision": "allow"}, headers={"origin": "https://evil.test"})
    assert_error_page(response)
    assert codes() == 0
    assert Consent.objects.count() == 0


# -- one answer ------------------------------------------------------------------------------------------


def test_a_consent_is_good_for_one_code(client_):
    """I1, I8."""
    browser = make_browser()
    page, _ = consent_page(browser, client_)
    code = answer_to(client_, submit(browser, page, decision="allow"))["code"]
    for again in ({"decision": "deny"}, {"decision": "allow", "more": "x"}):
        assert_error_page(submit(browser, page, **again))
    assert redeem(client_, code).status_code == 200
    assert_error_page(submit(browser, page, decision="allow", more="y"))
    assert codes() == 1


def test_a_consent_of_a_signed_in_person_is_good_for_one_code(client_):
    """I1, I8."""
    browser = signed_in(make_user())
    page = ask(browser, client_)
    code = answer_to(client_, submit(browser, page, decision="allow"))["code"]
    for again in ({"decision": "deny"}, {"decision": "allow", "more": "x"}):
        assert_error_page(submit(browser, page, **again))
    assert redeem(client_, code).status_code == 200
    assert_error_page(submit(browser, page, decision="allow", more="y"))
    assert codes() == PendingAuthorization.objects.count() == 1


def test_a_denial_cannot_be_taken_back(client_):
    """I8."""
    browser = make_browser()
    page, _ = consent_page(browser, client_)
    assert answer_to(client_, submit(browser, page, decision="deny"))["error"] == "access_denied"
    assert_error_page(submit(browser, page, decision="allow"))
    browser = signed_in(make_user())
    page = ask(browser, client_)
    assert answer_to(client_, submit(browser, page, decision="deny"))["error"] == "access_denied"
    assert_error_page(submit(browser, page, decision="allow"))
    assert codes() == 0


@pytest.mark.parametrize("form_token", [None, "", "0" * 64, "ü", "\ud800".encode("utf-8", "surrogatepass")])
def test_a_consent_without_the_forms_token_is_refused(client_, form_token):
    """I7: what another site could post."""
    browser = make_browser()
    page, pending = consent_page(browser, client_)
    action, fields = form_of(page)
    forged = {"decision": "allow"} | ({} if form_token is None else {"form_token": form_token})
    assert_error_page(post(browser, action, forged))
    pending.refresh_from_db()
    assert pending.status == Status.AUTHENTICATED
    assert "code" in answer_to(client_, post(browser, action, fields | {"decision": "allow"}))


@pytest.mark.parametrize("decision", [None, "", "ALLOW", "yes", "allow\x00", "allow deny"])
def test_anything_but_allow_or_deny_decides_nothing(client_, decision):
    """I8."""
    value = {} if decision is None else {"decision": decision}
    browser = make_browser()
    page, pending = consent_page(browser, client_)
    action, fields = form_of(page)
    assert_error_page(post(browser, action, fields | value))
    pending.refresh_from_db()
    assert pending.status == Status.AUTHENTICATED
    browser = signed_in(make_user())
    action, fields = form_of(ask(browser, client_))
    assert_error_page(post(browser, action, fields | value))
    assert codes() == 0


def test_the_form_of_the_first_page_is_no_consent(client_):
    """I8: a token is good for one form."""
    browser = signed_in(make_user())
    _, chosen = form_of(ask(browser, client_, prompt="select_account"))
    assert_error_page(post(browser, "/authorize/consent", chosen | {"decision": "allow"}))
    _, asked = form_of(ask(browser, client_))
    assert_error_page(post(browser, "/authorize/choose", asked | {"provider": "demo"}))
    assert PendingAuthorization.objects.count() == 0


def test_a_signed_request_that_was_changed_is_refused(client_):
    """I8: nobody grants another scope than the page showed."""
    browser = signed_in(make_user())
    action, fields = form_of(ask(browser, client_, scope="openid"))
    _, wider = form_of(ask(browser, client_, scope="openid email offline_access"))
    signed = fields["request"]
    for forged in (
        wider["request"],
        signed[:-1] + "x",
        signed.upper(),
        "",
        "x",
        ":",
        "a:b:c",
        "é",
        "x" * 60_000,
    ):
        assert_error_page(post(browser, action, fields | {"request": forged, "decision": "allow"}))
    assert PendingAuthorization.objects.count() == 0
    assert "code" in answer_to(client_, post(browser, action, fields | {"decision": "allow"}))


def test_a_page_that_lay_about_too_long_is_refused(client_, lazyauth):
    """Spec 1: a flow ends."""
    lazyauth(FLOW_LIFETIME=0.001)
    browser = signed_in(make_user())
    page = ask(browser, client_)
    time.sleep(1.1)
    words = assert_error_page(submit(browser, page, decision="allow"))
    assert "too old" in words
    lazyauth(FLOW_LIFETIME=timedelta(minutes=15))
    browser = make_browser()
    page, pending = consent_page(browser, client_)
    PendingAuthorization.objects.filter(pk=pending.pk).update(expires_at=timezone.now())
    assert_error_page(submit(browser, page, decision="allow"))
    assert_error_page(get(browser, form_of(page)[0]))
    assert codes() == 0


#: What a client may ask that who signed in an hour ago does not meet.
LATER = {
    "another sign-in": {"prompt": "login"},
    "a new account": {"prompt": "create"},
    "a younger sign-in": {"max_age": "60"},
}


@pytest.mark.parametrize("changes", LATER.values(), ids=LATER)
def test_a_consent_form_of_ones_own_making_replaces_no_sign_in(client_, changes):
    """OpenID Connect Core §3.1.2.1: who has the cookie makes form tokens. An open browser is no new sign-in."""
    user = make_user()
    browser = signed_in(user, ago=timedelta(hours=1))
    page = ask(browser, client_, **changes)
    assert is_choice_page(page)
    (name,) = filter(COOKIE.fullmatch, browser.cookies)
    row = get_application_model().objects.get(client_id=client_.client_id)
    made = form_token(browser.cookies[name].value, consent_form(row, user))
    fields = form_of(page)[1] | {"form_token": made, "decision": "allow"}
    assert is_choice_page(post(browser, "/authorize/consent", fields))
    assert not PendingAuthorization.objects.exists()


def test_a_sign_in_that_grew_too_old_on_the_page_is_asked_for_again(client_):
    """OpenID Connect Core §3.1.2.1, `max_age`: it counts until the person answers."""
    user = make_user()
    browser = signed_in(user)
    page = ask(browser, client_, max_age="60")
    assert is_consent_page(page)
    signed_in(user, ago=timedelta(seconds=61), browser=browser)
    again = submit(browser, page, decision="allow")
    assert is_choice_page(again)
    answer = come_back(browser, submit(browser, again, provider="demo"), subject="ada")
    assert is_consent_page(get(browser, answer.headers["Location"]))


def test_a_client_that_dropped_its_redirect_uri_gets_no_answer_there(client_):
    """RFC 9700 §2.1."""
    browser = signed_in(make_user())
    consent, choice = ask(browser, client_), ask(browser, client_, prompt="login")
    change_client(client_, redirect_uris="https://client.example/new")
    assert_error_page(submit(browser, consent, decision="allow"))
    assert_error_page(submit(browser, choice, provider="demo"))
    assert PendingAuthorization.objects.count() == 0


# -- tabs and people -------------------------------------------------------------------------------------


def test_two_tabs_do_not_disturb_each_other(client_):
    """Spec 1: each ends with its own state and its own code."""
    browser = make_browser()
    one = OAuthClient(client_.client_id)
    two = OAuthClient(client_.client_id)
    assert one.state != two.state
    first, second = start(browser, one), start(browser, two)
    first, second = (
        come_back(browser, first, subject="ada"),
        come_back(browser, second, subject="grace"),
    )
    first, second = get(browser, first.headers["Location"]), get(browser, second.headers["Location"])
    assert "ada@people.example" in first.content.decode()
    assert "grace@people.example" in second.content.decode()
    second = answer_to(two, submit(browser, second, decision="allow"))
    first = answer_to(one, submit(browser, first, decision="allow"))
    assert (first["state"], second["state"]) == (one.state, two.state)
    assert redeem(one, first["code"]).status_code == redeem(two, second["code"]).status_code == 200
    assert set(get_user_model().objects.values_list("email", flat=True)) == {
        "ada@people.example",
        "grace@people.example",
    }


def test_a_form_of_one_tab_never_answers_another(client_):
    """Spec 1, I7: though both belong to the same browser."""
    browser = make_browser()
    first, first_row = consent_page(browser, client_)
    second, second_row = consent_page(browser, client_)
    _, fields = form_of(first)
    assert_error_page(post(browser, form_of(second)[0], fields | {"decision": "allow"}))
    for row in (first_row, second_row):
        row.refresh_from_db()
        assert row.status == Status.AUTHENTICATED
    assert "code" in answer_to(client_, submit(browser, first, decision="allow"))
    assert "code" in answer_to(client_, submit(browser, second, decision="allow"))


def test_a_signed_request_of_one_tab_never_goes_with_the_token_of_another(client_):
    """Spec 1, I7."""
    browser = signed_in(make_user())
    (action, first), (_, second) = form_of(ask(browser, client_)), form_of(ask(browser, client_))
    mixed = {"request": first["request"], "form_token": second["form_token"], "decision": "allow"}
    assert_error_page(post(browser, action, mixed))
    assert PendingAuthorization.objects.count() == 0


def test_a_page_that_names_one_account_does_not_speak_for_another(client_):
    """I8: somebody else signed in, in another tab, while the page stood there."""
    browser = signed_in(make_user("ada"))
    page = ask(browser, client_)
    assert "ada@people.example" in page.content.decode()
    signed_in(make_user("grace"), browser=browser)
    assert_error_page(submit(browser, page, decision="allow"))
    browser.logout()
    assert_error_page(submit(browser, page, decision="allow"))
    assert PendingAuthorization.objects.count() == 0
    assert Consent.objects.count() == 0


def test_a_user_who_was_deactivated_meanwhile_allows_nothing(client_):
    """I8."""
    browser = signed_in(make_user())
    page = ask(browser, client_)
    get_user_model().objects.update(is_active=False)
    assert_error_page(submit(browser, page, decision="allow"))
    assert codes() == 0


def test_a_flow_that_is_answered_or_unknown_has_no_page(client_):
    """Spec 1."""
    browser = make_browser()
    page, _ = consent_page(browser, client_)
    action, _ = form_of(page)
    submit(browser, page, decision="allow")
    assert_error_page(get(browser, action))
    assert_error_page(get(browser, f"/authorize/{uuid4()}"))
    assert_error_page(get(browser, f"/authorize/{uuid4()}/demo"))
    assert_error_page(post(browser, f"/authorize/{uuid4()}", {"decision": "allow", "form_token": ""}))


def test_reloading_the_address_of_a_form_shows_a_page_that_explains(client_):
    """RFC 9110 §15.5.6."""
    for path in ("/authorize/choose", "/authorize/consent"):
        response = get(make_browser(), path)
        assert_error_page(response, status=405)
        assert response.headers["Allow"] == "POST"


# -- what the page shows ---------------------------------------------------------------------------------


def pages_of(client):
    """Return the first page and the consent page that a person sees of *client*."""
    browser = make_browser()
    first = ask(browser, client)
    answer = come_back(browser, submit(browser, first, provider="demo"), subject="ada")
    return first, get(browser, answer.headers["Location"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Plain", "Plain"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ('"><img src=x onerror=alert(1)>', '"><img src=x onerror=alert(1)>'),
        ("{{ 7|add:1 }}{% now 'Y' %}", "{{ 7|add:1 }}{% now 'Y' %}"),
        ("</bdi></p><h1>Google", "</bdi></p><h1>Google"),
        ("safe\u202egpj.exe", "safegpj.exe"),
        ("\u2066a\u2069\u200b\u200d\ufeffb\u00ad", "ab"),
        ("a\nb\tc\u2028d\u0085e\x07", "abcde"),
        ("  many    spaces  ", "many spaces"),
        ("Cafe\u0301", "Café"),
        ("日本語", "日本語"),
        ("x" * 255, "x" * 79 + "…"),
        ("\u202e\u200b", "one-more-client"),
    ],
)
def test_the_name_of_a_client_is_shown_as_text_and_in_its_place(db, name, shown):
    """Threat model: names with HTML, bidi overrides, look-alikes, 255 characters."""
    client = register_client(name=name)
    for page in pages_of(client):
        soup = soup_of(page)
        assert soup.find(class_="lazyauth-client-name").bdi.get_text() == shown
        assert (soup.find("script"), soup.find("img", onerror=True)) == (None, None)
        assert len(soup.find_all("h1")) == 1


@pytest.mark.parametrize(
    ("redirect_uri", "host"),
    [
        ("https://client.example/cb", "client.example"),
        ("https://client.example:8443/cb", "client.example:8443"),
        ("https://google.com.evil.test/google.com", "google.com.evil.test"),
        ("http://127.0.0.1:8000/cb", "127.0.0.1:8000"),
        ("http://[::1]:8000/cb", "[::1]:8000"),
        ("com.example.app:/cb", "com.example.app"),
        ("com.example.app://google.com/cb", "com.example.app"),
    ],
)
def test_the_pages_show_where_the_answer_goes(db, redirect_uri, host):
    """Threat model: the redirect host is prominent; a name proves nothing."""
    for page in pages_of(register_client(name="Google", redirect_uris=redirect_uri)):
        assert soup_of(page).find(class_="lazyauth-client-host").strong.get_text() == host


@pytest.mark.parametrize(("source", "unverified"), [("manual", False), ("dcr", True), ("cimd", True)])
def test_a_client_that_registered_itself_is_shown_as_unverified(db, source, unverified):
    """Threat model."""
    for page in pages_of(self_registered(source=source)):
        badge = soup_of(page).find(class_="lazyauth-badge")
        assert (badge is not None) is unverified
        assert ("Nobody has checked this application" in page.content.decode()) is unverified


def test_the_consent_page_says_who_consents_to_what_where(client_, lazyauth):
    """Spec 1: the account, each scope in words, the resources."""
    lazyauth(
        SCOPES={"mail.read": "Read your <b>mail</b>"},
        RESOURCE_NAMES={"https://api.example/mail": "Your <b>mailbox</b>"},
    )
    resource = "https://api.example/mail"
    expected = ["Know who you are", "Read your <b>mail</b>"]
    browser = signed_in(make_user())
    in_flow, _ = consent_page(make_browser(), client_, scope="openid mail.read", resource=resource)
    for page in (in_flow, ask(browser, client_, scope="openid mail.read", resource=resource)):
        soup = soup_of(page)
        assert [line.get_text() for line in soup.find(class_="lazyauth-scopes").find_all("li")] == expected
        assert resources_on(page) == ["Your <b>mailbox</b> | api.example"]
        assert "ada@people.example" in soup.main.get_text()


def resources_on(page) -> list[str]:
    return [line.get_text(" | ") for line in soup_of(page).find(class_="lazyauth-resources").find_all("li")]


@pytest.mark.parametrize(
    ("resource", "shown"),
    [
        ("https://auth.example/mcp", "Your notes | auth.example"),
        ("https://auth.example/mcp/deep/?q=1", "Your notes | auth.example"),
        ("https://auth.example/mcp/admin", "Everybody's notes | auth.example"),
        ("https://auth.example/caf%C3%A9", "The café | auth.example"),
        ("https://api.example:8443/v1", "Maps | api.example:8443"),
        ("https://api.example/v1", "api.example | /v1"),
        ("https://auth.example/mcp-2", "auth.example | /mcp-2"),
        ("https://auth.example/", "auth.example"),
        ("https://api.example/v1/?tenant=7", "api.example | /v1/?tenant=7"),
        ("https://аpi.example:8443/v1", "xn--pi-6kc.example:8443 | /v1"),
        ("https://..evil.example/it is safe\u202e", "..evil.example | /it%20is%20safe%E2%80%AE"),
        ("https://your bank/", "your%20bank"),
        (f"https://api.example/{'x' * 200}", f"api.example | /{'x' * 78}…"),
    ],
)
def test_a_resource_is_shown_in_words_with_its_host(client_, lazyauth, resource, shown):
    """Spec 10. Without words the host stands first, as browsers write it: what follows is up to the client."""
    lazyauth(
        RESOURCE_NAMES={
            "/mcp": "Your notes",
            "/mcp/admin": "Everybody's notes",
            "/café": "The café",
            "https://api.example:8443": "Maps",
        }
    )
    assert resources_on(ask(signed_in(make_user()), client_, resource=resource)) == [shown]


def test_the_words_for_a_resource_are_in_the_language_of_the_page_and_stand_once(client_, lazyauth):
    lazyauth(RESOURCE_NAMES={"/mcp": gettext_lazy("Your account")})
    asked = [f"{ISSUER}/mcp", f"{ISSUER}/mcp/tools"]
    page = ask(signed_in(make_user()), client_, resource=asked, ui_locales="de")
    assert resources_on(page) == ["Ihr Konto | auth.example"]


def test_an_account_is_shown_as_text(client_):
    """Threat model: what an upstream says about a person is no markup."""
    page, _ = consent_page(make_browser(), client_, subject='"><script>alert(1)</script>')
    assert soup_of(page).find("script") is None
    assert '"><script>alert(1)</script>@people.example' in soup_of(page).main.get_text()


# -- when it is asked ------------------------------------------------------------------------------------


def test_an_operators_client_may_skip_consent_and_a_strangers_never(db):
    """I8."""
    trusted = register_client("trusted", skip_authorization=True)
    browser = make_browser()
    answer = come_back(browser, start(browser, trusted), subject="ada")
    assert redeem(trusted, answer_to(trusted, answer)["code"]).status_code == 200
    assert "code" in answer_to(trusted, ask(signed_in(make_user("bob")), trusted))
    for source in ("dcr", "cimd"):
        stranger = self_registered(f"stranger-{source}", source, skip_authorization=True)
        consent_page(make_browser(), stranger, subject="ada")
        assert is_consent_page(ask(signed_in(make_user(f"user-of-{source}")), stranger))


@pytest.mark.parametrize("is_new", [False, True], ids=["a person who is known", "a new person"])
def test_i8_what_was_never_asked_is_asked_once_the_waiver_is_taken_back(client_, is_new):
    """I8: a waiver is the operator's word, and nobody's consent. The page does not say that it was allowed before."""
    change_client(client_, skip_authorization=True)
    browser = make_browser()
    answer = (
        come_back(browser, start(browser, client_), subject="ada")
        if is_new
        else ask(signed_in(make_user()), client_)
    )
    assert redeem(client_, answer_to(client_, answer)["code"]).status_code == 200
    assert Consent.objects.count() == 1, "the person sees the application, and may withdraw it"
    user = get_user_model().objects.get()
    assert "code" in answer_to(client_, ask(signed_in(user), client_))
    change_client(client_, skip_authorization=False)
    page = ask(signed_in(user), client_)
    assert is_consent_page(page)
    assert not soup_of(page).find(class_="lazyauth-known")


def test_what_was_allowed_before_the_waiver_stays_allowed_after_it(client_):
    """I8: and no more than that."""
    browser = signed_in(make_user())
    allow(browser, client_, scope="openid profile")
    change_client(client_, skip_authorization=True)
    assert "code" in answer_to(client_, ask(browser, client_, scope="openid"))
    change_client(client_, skip_authorization=False)
    assert "code" in answer_to(client_, ask(browser, client_, scope="openid profile"))
    assert is_consent_page(ask(browser, client_, scope="openid email"))


def allow(browser, client, **changes):
    page = ask(browser, client, **changes)
    assert is_consent_page(page)
    return answer_to(client, submit(browser, page, decision="allow"))["code"]


@pytest.mark.parametrize("source", ["manual", "dcr", "cimd"])
def test_what_was_allowed_is_not_asked_again(db, source):
    """Spec 1: remembered per user, client, scopes and resources; fewer scopes are covered."""
    client = self_registered(source=source)
    browser = signed_in(make_user())
    allow(browser, client, scope="openid email")
    for scope in ("openid email", "email openid", "openid"):
        answer = answer_to(client, ask(browser, client, scope=scope))
        granted = redeem(client, answer["code"]).json()["scope"]
        assert set(granted.split()) == set(scope.split())


@pytest.mark.parametrize(("allowed", "asked"), [("", "/"), ("/", "")])
def test_the_slash_of_an_empty_path_is_not_asked_about(client_, allowed, asked):
    """RFC 3986 §6.2.3: of ``https://host`` and ``https://host/`` only; a deeper path is another resource."""
    ada = signed_in(make_user())
    allow(ada, client_, resource=f"https://api.example{allowed}")
    assert "code" in answer_to(client_, ask(ada, client_, resource=f"https://api.example{asked}"))
    for path in ("/mail", "//", "?a", "/?a"):
        assert is_consent_page(ask(ada, client_, resource=f"https://api.example{path}")), path
    allow(ada, client_, resource="https://api.example/mail")
    assert is_consent_page(ask(ada, client_, resource="https://api.example/mail/"))


def test_what_another_person_client_or_resource_was_allowed_is_asked(client_):
    """Spec 1, I8."""
    ada = signed_in(make_user("ada"))
    allow(ada, client_, resource="https://api.example/a")
    assert is_consent_page(ask(signed_in(make_user("bob")), client_, resource="https://api.example/a"))
    assert is_consent_page(ask(ada, register_client("other"), resource="https://api.example/a"))
    assert is_consent_page(ask(ada, client_))
    assert is_consent_page(ask(ada, client_, resource="https://api.example/b"))
    both = ["https://api.example/a", "https://api.example/b"]
    assert is_consent_page(ask(ada, client_, resource=both))
    allow(ada, client_, resource=both)
    assert "code" in answer_to(client_, ask(ada, client_, resource=both[::-1]))


def test_more_scopes_are_asked_and_then_remembered_together(client_):
    """Spec 1."""
    browser = signed_in(make_user())
    allow(browser, client_, scope="openid")
    allow(browser, client_, scope="openid email")
    allow(browser, client_, scope="profile")
    for scope in ("openid", "openid email", "openid email profile"):
        assert "code" in answer_to(client_, ask(browser, client_, scope=scope))
    assert Consent.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another name"},
        {"redirect_uris": "https://client.example/cb https://evil.test/cb"},
        {"client_type": "confidential", "client_secret": "s3cret" * 10},
    ],
)
@pytest.mark.parametrize("source", ["manual", "dcr", "cimd"])
def test_a_client_that_says_something_else_about_itself_is_asked_about_again(db, source, change):
    """Spec 1: and what it was allowed before does not come back with the new consent."""
    client = self_registered(source=source)
    browser = signed_in(make_user())
    allow(browser, client, scope="openid email")
    change_client(client, **change)
    assert answer_to(client, ask(browser, client, prompt="none"))["error"] == "consent_required"
    allow(browser, client, scope="openid")
    assert "code" in answer_to(client, ask(browser, client, scope="openid"))
    assert is_consent_page(ask(browser, client, scope="openid email"))


def test_a_change_while_the_page_stands_there_is_not_covered_by_the_consent(db):
    """Spec 1: the person allowed what the page said, and nothing that came after."""
    client = self_registered(name="Honest")
    in_row, in_page = make_browser(), signed_in(make_user("bob"))
    page, _ = consent_page(in_row, client, subject="ada")
    carried = ask(in_page, client)
    change_client(client, name="Your Bank")
    for browser, stale in ((in_row, page), (in_page, carried)):
        assert_error_page(submit(browser, stale, decision="allow"))
    assert codes() == 0
    assert Consent.objects.count() == 0


def test_a_person_who_registers_now_is_not_asked_again_later(client_):
    """Spec 1: the consent of a lazy registration is written with the user."""
    browser = make_browser()
    code = code_for(client_, browser=browser)
    assert Consent.objects.count() == 0
    assert redeem(client_, code).status_code == 200
    consent = Consent.objects.get()
    assert consent.user == get_user_model().objects.get()
    assert set(consent.scope.split()) == {"openid", "profile", "email"}
    elsewhere = make_browser()
    assert "code" in answer_to(client_, come_back(elsewhere, start(elsewhere, client_), subject="ada"))


# -- deny ------------------------------------------------------------------------------------------------


def test_a_denial_tells_the_client_and_leaves_nothing(client_):
    """RFC 6749 §4.1.2.1, I4."""
    browser = make_browser()
    before = rows()
    page, pending = consent_page(browser, client_)
    assert DeferredRegistration.objects.count() == 1
    answer = answer_to(client_, submit(browser, page, decision="deny"))
    assert (answer["error"], answer["state"]) == ("access_denied", client_.state)
    assert "code" not in answer
    pending.refresh_from_db()
    assert (pending.status, pending.code_digest, pending.private) == (Status.FAILED, None, "")
    pending.delete()
    assert rows() == before
    assert [cookie["max-age"] for name, cookie in browser.cookies.items() if COOKIE.match(name)] == [30]


def test_a_denial_of_a_signed_in_person_is_not_remembered_as_consent(client_):
    """I8."""
    browser = signed_in(make_user())
    page = ask(browser, client_)
    answer = answer_to(client_, submit(browser, page, decision="deny"))
    assert (answer["error"], answer["state"]) == ("access_denied", client_.state)
    assert Consent.objects.count() == 0
    assert is_consent_page(ask(browser, client_))


def test_a_denial_takes_the_upstream_tokens_of_an_immediate_registration_along(client_, lazyauth):
    """I4: the user stands, the session came to nothing."""
    lazyauth(REGISTRATION="immediate")
    browser = make_browser()
    page, pending = consent_page(browser, client_)
    assert UpstreamToken.objects.filter(session_id=pending.pk).exists()
    submit(browser, page, decision="deny")
    assert get_user_model().objects.count() == ProviderIdentity.objects.count() == 1
    assert UpstreamToken.objects.count() == 0


# -- who is signed in already ----------------------------------------------------------------------------


def test_a_person_who_is_signed_in_here_skips_the_provider(client_):
    """Spec 1."""
    user = make_user()
    browser = make_browser()
    browser.force_login(user)
    answer = answer_to(client_, submit(browser, ask(browser, client_), decision="allow"))
    body = redeem(client_, answer["code"]).json()
    info = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert info.json()["sub"] == str(user.pk)
    assert not UpstreamToken.objects.exists()


def continues(browser, client):
    """Say whether the next visit of *browser* finds somebody signed in."""
    page = ask(browser, client)
    assert is_choice_page(page) or is_consent_page(page)
    return is_consent_page(page)


def test_the_browser_of_a_lazy_registration_continues_signed_in_after_the_exchange(client_):
    """Spec 1: on its next visit, without going upstream again."""
    browser = make_browser()
    other = register_client("other-client")
    code = code_for(client_, browser=browser)
    assert not continues(browser, other)
    assert redeem(client_, code).status_code == 200
    page = ask(browser, other)
    assert is_consent_page(page)
    assert "ada@people.example" in page.content.decode()
    assert browser.session[SESSION_KEY] == str(get_user_model().objects.get().pk)
    answer = answer_to(client_, ask(browser, client_, prompt="none"))
    assert redeem(client_, answer["code"]).status_code == 200
    assert get_user_model().objects.count() == 1


def test_it_continues_exactly_once(client_):
    """Spec 1: who signs out stays signed out."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    kept = bindings(browser)
    other = register_client("other-client")
    assert continues(browser, other)
    browser.logout()
    again = make_browser()
    for name, value in kept.items():
        browser.cookies[name] = again.cookies[name] = value
    assert not continues(browser, other)
    assert not continues(again, other)


def test_it_continues_in_no_other_browser(client_):
    """Spec 1, I7: neither for a stranger nor for who redeemed the code, nor with a cookie of the same name."""
    browser, client_side, stranger = make_browser(), make_browser(), make_browser()
    code = code_for(client_, browser=browser)
    assert redeem(client_, code, browser=client_side).status_code == 200
    for name in bindings(browser):
        stranger.cookies[name] = f"{int(time.time())}.{'A' * 43}"
    other = register_client("other-client")
    assert not continues(stranger, other)
    assert not continues(client_side, other)
    assert continues(browser, other)


def test_the_secret_of_an_ended_or_abandoned_flow_signs_nobody_in(client_):
    """Spec 1, I4."""
    browser = make_browser()
    page, _ = consent_page(browser, client_)
    kept = bindings(browser)
    submit(browser, page, decision="deny")
    browser.cookies.load(dict(kept))
    assert not continues(browser, client_)


def test_a_deactivated_user_does_not_continue(client_):
    """Spec 1."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    get_user_model().objects.update(is_active=False)
    assert not continues(browser, client_)
    get_user_model().objects.update(is_active=True)
    assert PendingAuthorization.objects.get().resumed_at is None


@pytest.mark.parametrize(("age", "expected"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
def test_a_browser_is_signed_in_by_its_registration_for_a_day_and_not_later(client_, age, expected):
    """The binding cookie is a credential until then (``CODE_RETENTION``); an old one of a shared browser is none."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    PendingAuthorization.objects.update(exchanged_at=timezone.now() - age)
    assert get(browser, "/account/sessions").status_code == (200 if expected else 303)
    assert (PendingAuthorization.objects.order_by("pk")[0].resumed_at is not None) is expected


# -- headers and markup ----------------------------------------------------------------------------------


def every_page(client, settings):
    """Yield every kind of page that a browser gets, by name."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    browser = make_browser()
    first = ask(browser, client)
    yield "choice", first
    to_upstream = submit(browser, first, provider="demo")
    yield "redirect to the upstream", to_upstream
    back = come_back(browser, to_upstream, subject="ada")
    yield "redirect to the consent", back
    consent = get(browser, back.headers["Location"])
    yield "consent", consent
    yield "redirect to the client", submit(browser, consent, decision="allow")
    yield "error", get(browser, "/authorize")
    yield "callback error", get(browser, "/callback/demo?state=unknown&code=x")
    yield "wrong method", get(browser, "/authorize/choose")
    yield "redirect of an error", ask(browser, client, scope="unknown")
    yield "consent of a signed-in person", ask(signed_in(make_user()), client)
    own = submit(browser, ask(browser, client), provider="local")
    yield "password", get(browser, own.headers["Location"])
    again = submit(browser, ask(browser, client), provider="nobody")
    yield "choice again", again
    upstream = start(browser, client)
    settings.LAZYAUTH["PROVIDERS"].pop("demo")
    yield "choice after a failure", come_back(browser, upstream, subject="ada")


#: The one file that a page may run. It works without.
SCRIPTS = {"password": "https://auth.example/static/django_lazyauth/password.js"}


def test_every_page_keeps_itself_to_itself(client_, settings):
    """Threat model: no framing, no referrer, no inline script, nothing kept in caches."""
    seen = []
    for name, response in every_page(client_, settings):
        seen.append(name)
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in response.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'", name
        assert policy["frame-ancestors"] == "'none'", name
        assert policy["base-uri"] == "'none'", name
        assert not re.search(r"unsafe-|\*|https?:(\s|$)", response.headers["Content-Security-Policy"]), name
        assert policy.get("script-src") == SCRIPTS.get(name), name
        assert response.headers["Referrer-Policy"] == "no-referrer", name
        assert response.headers["X-Frame-Options"] == "DENY", name
        assert response.headers["X-Content-Type-Options"] == "nosniff", name
        assert "no-store" in response.headers["Cache-Control"], name
    assert len(seen) == 13


def test_every_page_of_a_flow_keeps_its_opener_and_an_account_does_not(client_, settings):
    """Spec 10: a single-page app that opened the sign-in as a popup hears of its end (HTML §7.1.3)."""
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
    for name, response in every_page(client_, settings):
        assert response.headers["Cross-Origin-Opener-Policy"] == "unsafe-none", name
    browser = signed_in(make_user("grace"))
    assert get(browser, "/logout").headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    for path in ("/account/sessions", "/account/sign-in", "/account/return"):
        assert get(browser, path).headers["Cross-Origin-Opener-Policy"] == "same-origin", path


def test_no_page_has_inline_script_or_style(client_, settings):
    """Threat model: the policy would block it, and a site that loosens the policy stays safe."""
    pages = 0
    for name, response in every_page(client_, settings):
        if response.status_code == 303:
            assert response.content == b"", name
            continue
        pages += 1
        soup = soup_of(response)
        assert soup.find_all(["style", "iframe", "object", "embed", "base"]) == [], name
        scripts = [(script.get("src"), script.get_text()) for script in soup.find_all("script")]
        assert scripts == ([("/static/django_lazyauth/password.js", "")] if name in SCRIPTS else []), name
        for element in soup.find_all(True):
            for attribute, value in element.attrs.items():
                assert not attribute.startswith("on"), (name, attribute)
                assert attribute not in {"style", "srcdoc", "formaction"}, (name, attribute)
                assert not str(value).lower().startswith(("javascript:", "data:")), (name, value)
        for link in soup.find_all("link", href=True):
            assert link["href"].startswith("/static/"), name
        assert soup.html["lang"], name
    assert pages >= 8


def test_the_stylesheets_host_is_the_only_other_one_in_the_policy(client_, settings):
    """A site that serves its static files from elsewhere."""
    settings.STATIC_URL = "https://cdn.example/static/"
    policy = ask(make_browser(), client_).headers["Content-Security-Policy"]
    assert "style-src 'self' https://cdn.example;" in policy
    assert "https://cdn.example/static" not in policy


# -- cookies ---------------------------------------------------------------------------------------------


def test_the_binding_cookie_belongs_to_one_host_and_no_script(client_):
    """Threat model: __Host-, Secure, HttpOnly, SameSite=Lax."""
    page = ask(make_browser(), client_)
    [(name, cookie)] = page.cookies.items()
    assert COOKIE.match(name)
    assert cookie["secure"] is True
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
    assert cookie["max-age"] == 15 * 60
    secret = cookie.value.partition(".")[2]
    assert len(secret) == 43
    assert secret not in page.content.decode()


def test_each_flow_has_a_cookie_of_its_own(client_):
    """Spec 1: and no two share a secret; the row keeps its digest only."""
    browser = make_browser()
    start(browser, client_)
    start(browser, client_)
    held = bindings(browser)
    assert len(set(held.values())) == 2
    for name, secret in held.items():
        row = PendingAuthorization.objects.get(pk=UUID(COOKIE.match(name)[1]))
        assert secret not in {str(value) for value in vars(row).values()}
    assert PendingAuthorization.objects.count() == 2


def test_the_number_of_cookies_is_bounded_and_the_newest_stay(client_):
    """Threat model: a page of an attacker that opens flow after flow does not fill the Cookie header."""
    browser = make_browser()
    pages = [ask(browser, client_) for _ in range(20)]
    browser.cookies = drop_deleted(browser.cookies)
    assert len(browser.cookies) == 12
    assert submit(browser, pages[-1], provider="demo").status_code == 303
    assert_error_page(submit(browser, pages[0], provider="demo"))


def drop_deleted(cookies):
    """Do what browsers do and the test client does not: forget cookies with Max-Age=0."""
    for name in [name for name, cookie in cookies.items() if cookie["max-age"] == 0]:
        del cookies[name]
    return cookies


def test_a_deleted_cookie_is_deleted_as_it_was_set(client_):
    """RFC 6265bis §4.1.3.2: browsers ignore a __Host- cookie without Secure, deletions too."""
    browser = make_browser()
    state = query_of(start(browser, client_).headers["Location"])["state"]
    response = get(browser, f"/callback/other?state={state}&code=ada")
    [(name, cookie)] = response.cookies.items()
    assert COOKIE.match(name)
    assert (cookie.value, cookie["max-age"], cookie["path"], cookie["secure"]) == ("", 0, "/", True)


def test_the_cookie_of_an_answered_flow_stays_while_its_form_may_come_again(client_):
    """I23: with it, a second click gets the answer of the first."""
    browser = signed_in(make_user())
    page = ask(browser, client_)
    response = submit(browser, page, decision="allow")
    [(name, cookie)] = response.cookies.items()
    assert cookie.value == page.cookies[name].value
    assert (cookie["max-age"], cookie["path"], cookie["secure"], cookie["httponly"]) == (30, "/", True, True)


@pytest.mark.parametrize(
    ("debug", "issuer", "plain"),
    [
        (True, "http://127.0.0.1:8000", True),
        (True, "http://localhost:8000", True),
        (False, "http://127.0.0.1:8000", False),
        (True, "https://auth.example", False),
        (True, "https://127.0.0.1", False),
        (True, "http://127.0.0.1.evil.test", False),
    ],
)
def test_a_plain_cookie_is_only_for_development_on_loopback(
    client_, lazyauth, settings, debug, issuer, plain
):
    """Threat model."""
    lazyauth(ISSUER=issuer)
    settings.DEBUG = debug
    page = make_browser().get(f"/authorize?{client_.authorize_query()}", SERVER_NAME="127.0.0.1")
    [(name, cookie)] = page.cookies.items()
    assert name.startswith("lazyauth-" if plain else "__Host-lazyauth-")
    assert bool(cookie["secure"]) is not plain
    assert cookie["httponly"] is True


def test_the_binding_of_a_lazy_registration_outlives_the_flow_and_others_do_not(client_):
    """Spec 1: the browser that signed in continues signed in; nobody else needs the cookie any more."""
    browser = make_browser()
    page, _ = consent_page(browser, client_)
    [(_, kept)] = submit(browser, page, decision="allow").cookies.items()
    assert kept["max-age"] == 24 * 3600
    assert kept["secure"] is True
    code_for(client_, browser=make_browser(), subject="grace")
    grace = make_browser()
    assert redeem(client_, code_for(client_, browser=grace, subject="grace")).status_code == 200
    elsewhere = make_browser()
    answer = come_back(elsewhere, start(elsewhere, client_), subject="grace")
    assert "code" in answer_to(client_, answer)
    assert [cookie["max-age"] for name, cookie in answer.cookies.items() if COOKIE.match(name)] == [30]


def test_no_cookie_of_a_flow_outlives_an_answer_that_is_an_error(client_):
    """Threat model: one cookie per flow, and none for a flow that is over."""
    browser = make_browser()
    upstream = start(browser, client_)
    state = query_of(upstream.headers["Location"])["state"]
    assert query_of(get(browser, f"/callback/other?state={state}&code=ada").headers["Location"])["error"]
    assert bindings(browser) == {}


def test_a_whole_journey_leaves_no_secret_in_a_url_but_the_code(client_):
    """I13."""
    browser = make_browser()
    location = sign_in(browser, client_)
    for secret in bindings(browser).values():
        assert secret not in location
    assert set(query_of(location)) == {"code", "state", "iss"}
