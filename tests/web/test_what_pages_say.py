"""What the pages of a flow say and offer: as whom, what for, where to, and which way in first."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core import mail

from django_lazyauth.models import (
    ClientRegistration,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
)
from django_lazyauth.sign_in.leg import open_private
from tests.support.journey import come_back, get, make_browser, post, redeem, start, submit

from .site import (
    answer_to,
    ask,
    is_choice_page,
    is_consent_page,
    make_user,
    register_client,
    self_registered,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db

SCOPES = {
    "notes.read": "Read your notes",
    "notes.delete": {"text": "Delete your notes", "weight": "sensitive", "group": "Notes"},
    "maps.read": {"text": "See your maps", "group": "Maps"},
}


@pytest.fixture
def with_settings(settings):
    def give(**rows):
        settings.LAZYAUTH = {**settings.LAZYAUTH, **rows}

    return give


def consent_of(browser, client, **changes):
    answer = come_back(browser, start(browser, client, **changes), subject="ada")
    return get(browser, answer.headers["Location"])


def primary(page) -> list[str]:
    return [button.get_text(strip=True) for button in soup_of(page).main.select("button.lazyauth-primary")]


def asked_next(row) -> str:
    """Return what the provider of the last leg is asked for if it is chosen again."""
    return open_private(row)["prompt"]


# -- consent ---------------------------------------------------------------------------------------------------


def test_what_is_sensitive_stands_first_and_says_so(client_, with_settings):
    """Spec 10: grouped by weight. What has no group is not read as part of another one."""
    with_settings(SCOPES=SCOPES)
    soup = soup_of(consent_of(make_browser(), client_, scope="notes.read maps.read notes.delete"))
    lists = [
        [li.get_text(" ", strip=True) for li in ul.find_all("li")] for ul in soup.select(".lazyauth-scopes")
    ]
    assert lists == [["Delete your notes sensitive"], ["See your maps"], ["Read your notes"]]
    assert [heading.get_text() for heading in soup.main.find_all("h2")] == ["Notes", "Maps", "Other"]


def test_a_new_person_who_is_somebody_else_chooses_again_and_nobody_was_written(client_):
    """I4, I8: what the first sign-in deferred is deleted, and the provider is asked to offer its accounts."""
    browser = make_browser()
    page = consent_of(browser, client_)
    again = submit(browser, page, decision="other")
    choice = get(browser, again.headers["Location"])
    assert is_choice_page(choice)
    assert asked_next(PendingAuthorization.objects.get()) == "select_account"
    assert not DeferredRegistration.objects.exists()
    assert PendingAuthorization.objects.get().status == Status.REQUESTED
    upstream = submit(browser, choice, provider="demo")
    other = get(browser, come_back(browser, upstream, subject="grace").headers["Location"])
    assert "grace" in soup_of(other).main.get_text()
    assert get_user_model().objects.count() == 0
    assert "code" in answer_to(client_, submit(browser, other, decision="allow"))


def test_a_consent_form_of_the_first_person_is_no_answer_of_the_second(client_):
    """I8."""
    browser = make_browser()
    page = consent_of(browser, client_)
    submit(browser, page, decision="other")
    refused = submit(browser, page, decision="allow")
    assert refused.status_code == 400
    assert PendingAuthorization.objects.get().status == Status.REQUESTED


def test_somebody_who_is_signed_in_here_may_use_another_account(client_):
    browser = signed_in(make_user())
    page = ask(browser, client_)
    assert is_consent_page(page)
    choice = submit(browser, page, decision="other")
    assert is_choice_page(choice)
    assert "Continue as" not in soup_of(choice).main.get_text()
    assert PendingAuthorization.objects.count() == 0


def test_another_account_needs_a_form_of_this_page(client_):
    """I7."""
    browser = make_browser()
    consent_of(browser, client_)
    row = PendingAuthorization.objects.get()
    assert post(browser, f"/authorize/{row.pk}", {"decision": "other", "form_token": "x"}).status_code == 400
    assert DeferredRegistration.objects.exists()


def test_allow_is_highlighted_only_where_an_operator_stands_for_the_client(client_):
    assert primary(consent_of(make_browser(), client_)) == ["Allow"]
    assert primary(consent_of(make_browser(), self_registered())) == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:4321/cb", "an app on this device: 127.0.0.1:4321"),
        ("com.example.app:/cb", "an app on this device: com.example.app"),
        ("https://client.example/cb", "Takes you back to client.example"),
    ],
)
def test_where_the_answer_goes_is_said_in_words(uri, words):
    client = register_client("native", redirect_uris=uri)
    text = " ".join(soup_of(ask(make_browser(), client)).main.get_text(" ").split())
    assert words in text


@pytest.mark.parametrize("is_verified", [True, False])
def test_the_links_of_a_client_are_shown_where_an_operator_verified_it(is_verified):
    """A stranger's link on our page would look like ours."""
    from django.utils import timezone

    client = self_registered()
    row = PendingAuthorization._meta.get_field("client").related_model.objects.get(client_id="stranger")
    ClientRegistration.objects.update_or_create(
        client=row,
        defaults={
            "source": "open",
            "verified_at": timezone.now() if is_verified else None,
            "metadata": {
                "client_uri": "https://app.example/",
                "policy_uri": "javascript:alert(1)",
                "tos_uri": 5,
            },
        },
    )
    links = [link["href"] for link in soup_of(ask(make_browser(), client)).main.find_all("a")]
    assert links == (["https://app.example/"] if is_verified else [])


# -- choice ----------------------------------------------------------------------------------------------------


def test_the_way_that_was_used_last_stands_first(client_, other_provider):
    browser = make_browser()
    assert [b["value"] for b in soup_of(ask(browser, client_)).select("button[name=provider]")] == [
        "demo",
        "second",
    ]
    upstream = submit(browser, ask(browser, client_), provider="second")
    come_back(browser, upstream, subject="ada", provider="second")
    page = ask(browser, client_, prompt="login")
    assert [b["value"] for b in soup_of(page).select("button[name=provider]")] == ["second", "demo"]
    assert "Last used in this browser" in soup_of(page).main.get_text()
    assert len(primary(page)) == 1


@pytest.mark.parametrize("value", ["nosuch", "<script>", "x" * 300, "demo; Path=/"])
def test_a_changed_cookie_changes_nothing_but_the_order(client_, value):
    browser = make_browser()
    browser.cookies["__Host-lazyauth_way"] = value
    page = ask(browser, client_)
    assert is_choice_page(page)
    assert b"<script>" not in page.content


def test_the_cookie_names_a_provider_and_is_not_for_scripts(client_):
    browser = make_browser()
    come_back(browser, start(browser, client_), subject="ada")
    cookie = browser.cookies["__Host-lazyauth_way"]
    assert cookie.value == "demo"
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"


@pytest.fixture
def other_provider(settings):
    demo = settings.LAZYAUTH["PROVIDERS"]["demo"]
    providers = {"demo": demo, "second": {**demo, "display_name": "Second"}}
    settings.LAZYAUTH = {**settings.LAZYAUTH, "PROVIDERS": providers}


@pytest.mark.parametrize("typed", ["ada", "ada@people.example", "nobody@nowhere.example"])
def test_identifier_first_leads_everybody_to_the_password_in_the_same_way(
    client_, with_settings, settings, typed
):
    """No oracle: known and unknown names get the same page, with the name filled in."""
    make_user()
    password = {"type": "password", "display_name": "E-mail and password"}
    with_settings(IDENTIFIER_FIRST=True, PROVIDERS={**settings.LAZYAUTH["PROVIDERS"], "password": password})
    browser = make_browser()
    page = ask(browser, client_)
    field = soup_of(page).find("input", {"name": "domain"})
    assert field.has_attr("autofocus")
    token = {i["name"]: i["value"] for i in soup_of(page).form.find_all("input") if i.get("type") == "hidden"}
    answer = post(browser, "/authorize/choose", {**token, "provider": "sso:", "domain": typed})
    page = get(browser, answer.headers["Location"])
    assert soup_of(page).find("input", {"name": "email"})["value"] == typed
    assert soup_of(page).find("input", {"name": "password"}) is not None


# -- password --------------------------------------------------------------------------------------------------


@pytest.fixture
def password_page(client_, with_settings):
    with_settings(PROVIDERS={"password": {"type": "password", "display_name": "E-mail and password"}})
    browser = make_browser()

    def open_step(step=""):
        answer = submit(browser, ask(browser, client_), provider="password")
        return get(browser, answer.headers["Location"] + (f"?step={step}" if step else ""))

    open_step.browser = browser
    return open_step


def test_the_first_field_has_the_focus_and_after_an_error_the_alert_has_it(password_page, settings):
    """Spec 10: the field is marked and keeps what was typed."""
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}
    ]
    page = password_page("register")
    assert [e["name"] for e in soup_of(page).find_all(autofocus=True)] == ["email"]
    refused = submit(password_page.browser, page, email="ada@people.example", password="123")
    soup = soup_of(refused)
    [focused] = soup.find_all(autofocus=True)
    assert (focused["role"], focused["tabindex"]) == ("alert", "-1")
    assert soup.find("input", {"name": "email"})["value"] == "ada@people.example"
    field = soup.find("input", {"name": "password"})
    assert field["aria-invalid"] == "true"
    assert not field.get("value")
    for described in field["aria-describedby"].split():
        assert soup.find(id=described) is not None


def test_the_rules_of_a_password_are_a_list(password_page, settings):
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in ("MinimumLengthValidator", "NumericPasswordValidator")
    ]
    assert len(soup_of(password_page("register")).select(".lazyauth-rules li")) == 2
    assert soup_of(password_page()).select(".lazyauth-rules") == []


def test_a_mail_has_text_and_html_and_its_code_is_not_in_the_subject(password_page, with_settings):
    """Spec 10: a locked screen shows the subject."""
    with_settings(
        BRAND={"name": "Trail <Club>", "accent": "#0b6b50", "support_url": "https://trail.example/help"}
    )
    page = submit(
        password_page.browser,
        password_page("register"),
        email="ada@people.example",
        password="seven-quiet-otters",
    )
    [sent] = mail.outbox
    [(html, kind)] = [(part.content, part.mimetype) for part in sent.alternatives]
    assert kind == "text/html"
    code = next(line.strip() for line in sent.body.splitlines() if len(line.strip()) == 9 and "-" in line)
    assert code in html
    assert code not in sent.subject
    assert "Trail <Club>" in sent.body
    assert "Trail &lt;Club&gt;" in html
    assert "#0b6b50" in html
    assert '<html lang="en"' in html
    code_field = soup_of(page).find("input", {"name": "code"})
    assert (code_field["autocomplete"], code_field["inputmode"]) == ("one-time-code", "text")


def test_a_name_is_asked_where_the_site_wants_it_and_may_be_left_out(password_page, with_settings, client_):
    """Spec 10: it becomes the name of the identity."""
    assert soup_of(password_page("register")).find("input", {"name": "name"}) is None
    with_settings(ASK_NAME=True)
    page = password_page("register")
    field = soup_of(page).find("input", {"name": "name"})
    assert (field["autocomplete"], field.has_attr("required"), field.has_attr("autofocus")) == (
        "name",
        False,
        True,
    )
    assert len(soup_of(page).find_all(autofocus=True)) == 1
    refused = submit(
        password_page.browser, page, name="A\u202eda", email="ada@people.example", password="quiet-otters"
    )
    assert soup_of(refused).find("input", {"name": "name"})["aria-invalid"] == "true"
    code_page = submit(
        password_page.browser, page, name="Ada L.", email="ada@people.example", password="quiet-otters"
    )
    code = next(
        line.strip() for line in mail.outbox[-1].body.splitlines() if len(line.strip()) == 9 and "-" in line
    )
    answer = submit(password_page.browser, code_page, code=code)
    consented = submit(
        password_page.browser, get(password_page.browser, answer.headers["Location"]), decision="allow"
    )
    assert redeem(client_, answer_to(client_, consented)["code"]).status_code == 200
    assert ProviderIdentity.objects.get().name == "Ada L."


def test_scopes_of_an_existing_site_are_described_in_its_words(client_, settings, lazyauth):
    """``SCOPES`` of django-oauth-toolkit is a dict of texts: a person reads them as before."""
    settings.OAUTH2_PROVIDER = {"SCOPES": {"read": "See your <things>", "openid": "OpenID", "bare": ""}}
    lines = consent_of(make_browser(), client_, scope="openid read bare").content.decode()
    assert "See your &lt;things&gt;" in lines
    assert "bare" in lines
    assert "Know who you are" in lines, "our own words win"
