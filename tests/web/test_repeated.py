"""I23: the same final form twice gets the same answer, and nobody is hurt by a request that no person made."""

from __future__ import annotations

import copy
import re
import time
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_lazyauth.models import FlowAnswer, PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.sign_in.answers import MAX_PER_FLOW
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import (
    code_for,
    come_back,
    consent,
    form_of,
    get,
    make_browser,
    post,
    post_form,
    query_of,
    redeem,
    start,
    submit,
)
from tests.support.mail import mail_settings
from tests.support.processes import together

from .site import (
    RecordingProvider,
    answer_to,
    ask,
    assert_error_page,
    is_choice_page,
    is_consent_page,
    make_user,
    register_client,
    rows,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db

PASSWORD = "seven-quiet-otters"


@pytest.fixture
def browser():
    return make_browser()


@pytest.fixture
def local(settings):
    """A password provider beside the others."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}


@pytest.fixture
def only(settings):
    """One provider: an operator's client goes there without a page."""
    settings.LAZYAUTH["PROVIDERS"] = {"demo": settings.LAZYAUTH["PROVIDERS"]["demo"]}


@pytest.fixture
def recorded(settings):
    for provider in settings.LAZYAUTH["PROVIDERS"].values():
        provider["class"] = "tests.web.site.RecordingProvider"
    RecordingProvider.completed.clear()
    return RecordingProvider.completed


def consent_page(browser, client, *, subject="ada"):
    return get(browser, come_back(browser, start(browser, client), subject=subject).headers["Location"])


def password_page(browser, client, step="sign_in", **changes):
    page = submit(browser, ask(browser, client, **changes), provider="local")
    return get(browser, f"{page.headers['Location']}?step={step}")


def grow_old(seconds=31):
    """Let time pass for the kept answers."""
    FlowAnswer.objects.update(answered_at=timezone.now() - timedelta(seconds=seconds))


def same_answer(first, second) -> bool:
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.headers.get("Location") == second.headers.get("Location")
    assert {name: cookie.value for name, cookie in first.cookies.items() if "lazyauth-" in name} == {
        name: cookie.value for name, cookie in second.cookies.items() if "lazyauth-" in name
    }
    return True


def twin_of(browser):
    """Return the same browser, as if the answers from now on never arrived."""
    twin = make_browser()
    twin.cookies = copy.deepcopy(browser.cookies)
    return twin


# -- the same form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_second_click_on_a_decision_gets_the_same_answer(client_, browser, decision):
    page = consent_page(browser, client_)
    first = submit(browser, page, decision=decision)
    assert same_answer(first, submit(browser, page, decision=decision))
    assert same_answer(first, submit(browser, page, decision=decision))
    assert PendingAuthorization.objects.count() == 1


def test_a_second_click_after_the_code_was_redeemed_hands_out_no_spent_code(client_, browser):
    """I2: the client could redeem it, and a replay ends the session. The page says how things stand."""
    page = consent_page(browser, client_)
    code = answer_to(client_, submit(browser, page, decision="allow"))["code"]
    tokens = redeem(client_, code).json()
    again = submit(browser, page, decision="allow")
    assert again.status_code == 200
    assert "Location" not in again
    assert code not in again.content.decode()
    assert soup_of(again).h1.text == "The application has your answer"
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": client_.client_id,
    }
    assert post_form(make_browser(), "/token", form).status_code == 200
    assert PendingAuthorization.objects.count() == 1


def test_a_second_click_of_somebody_who_was_signed_in_hands_out_no_spent_code(client_):
    """I2: the same without a row before the click."""
    browser = signed_in(make_user())
    page = ask(browser, client_)
    code = answer_to(client_, submit(browser, page, decision="allow"))["code"]
    assert redeem(client_, code).status_code == 200
    again = submit(browser, page, decision="allow")
    assert (again.status_code, soup_of(again).h1.text) == (200, "The application has your answer")
    assert PendingAuthorization.objects.count() == 1


def test_a_callback_that_comes_after_its_code_was_redeemed_hands_out_no_spent_code(client_):
    """I2: somebody known needs no consent, so the callback itself leads to the client."""
    assert redeem(client_, code_for(client_, subject="ada")).status_code == 200
    browser = make_browser()
    upstream = start(browser, client_)
    twin = twin_of(browser)
    code = answer_to(client_, come_back(browser, upstream, subject="ada"))["code"]
    assert redeem(client_, code).status_code == 200
    again = come_back(twin, upstream, subject="ada")
    assert (again.status_code, soup_of(again).h1.text) == (200, "The application has your answer")
    assert SESSION_KEY in twin.session


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_second_click_of_somebody_who_was_signed_in_gets_the_same_answer(client_, decision):
    browser = signed_in(make_user())
    page = ask(browser, client_)
    assert is_consent_page(page)
    first = submit(browser, page, decision=decision)
    assert same_answer(first, submit(browser, page, decision=decision))
    assert PendingAuthorization.objects.count() == 1


@pytest.mark.parametrize(("first", "second"), [("allow", "deny"), ("deny", "allow")])
def test_another_decision_is_another_form_and_comes_too_late(client_, browser, first, second):
    """I8: a denial cannot be taken back, and a code that went out is out."""
    page = consent_page(browser, client_)
    answer = answer_to(client_, submit(browser, page, decision=first))
    assert_error_page(submit(browser, page, decision=second))
    assert ("code" in answer) is (first == "allow")


def test_after_half_a_minute_the_form_is_answered_no_more(client_, browser):
    page = consent_page(browser, client_)
    submit(browser, page, decision="allow")
    grow_old()
    assert "Nothing was shared" not in assert_and_read(submit(browser, page, decision="allow"))
    assert PendingAuthorization.objects.get().status == Status.CODE_ISSUED


def test_a_second_click_on_a_provider_leads_to_the_same_state(client_, browser):
    page = ask(browser, client_)
    first = submit(browser, page, provider="demo")
    assert same_answer(first, submit(browser, page, provider="demo"))
    assert is_consent_page(get(browser, come_back(browser, first, subject="ada").headers["Location"]))


def test_a_click_on_another_provider_is_another_form(client_, browser):
    page = ask(browser, client_)
    submit(browser, page, provider="demo")
    other = submit(browser, page, provider="other")
    assert come_back(browser, other, subject="ada", provider="other").status_code == 303


def test_a_provider_that_is_chosen_again_after_its_leg_ended_gets_a_new_state(client_, browser, recorded):
    """I9: the kept answer holds a state that is spent."""
    page = ask(browser, client_)
    first = submit(browser, page, provider="demo")
    assert is_choice_page(come_back(browser, first, subject="denied"))
    again = submit(browser, page, provider="demo")
    assert query_of(again.headers["Location"])["state"] != query_of(first.headers["Location"])["state"]
    assert come_back(browser, again, subject="ada").status_code == 303


def test_a_choice_after_a_failure_is_answered_once_too(client_, browser, recorded):
    choices = come_back(browser, start(browser, client_), subject="denied")
    first = submit(browser, choices, provider="other")
    assert same_answer(first, submit(browser, choices, provider="other"))


def test_going_on_as_who_is_signed_in_issues_one_code(client_):
    """The account page of the first request: its button pressed twice."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    page = ask(browser, client_, prompt="select_account")
    first = submit(browser, page, account="current")
    assert same_answer(first, submit(browser, page, account="current"))
    assert "code" in answer_to(client_, first)
    assert PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).count() == 1


def test_an_answer_is_kept_for_no_other_browser(client_, browser):
    """I7."""
    page = consent_page(browser, client_)
    submit(browser, page, decision="allow")
    action, fields = form_of(page)
    stranger = make_browser()
    start(stranger, register_client("another-client"))
    for thief in (make_browser(), stranger):
        assert_error_page(post(thief, action, fields | {"decision": "allow"}))


def test_an_answer_is_kept_for_no_form_that_differs_in_anything(client_, browser):
    page = consent_page(browser, client_)
    submit(browser, page, decision="allow")
    assert_error_page(submit(browser, page, decision="allow", more="x"))
    assert_error_page(submit(browser, page, decision="allow", form_token="0" * 64))


def test_a_form_that_was_refused_keeps_nothing(client_, browser):
    page = consent_page(browser, client_)
    assert_error_page(submit(browser, page, decision="perhaps"))
    assert not FlowAnswer.objects.filter(answered_at__isnull=True).exists()
    assert "code" in answer_to(client_, submit(browser, page, decision="allow"))


def test_the_database_reveals_no_answer_and_no_password(client_, browser, local):
    """I12, I13: what is kept opens with the cookie, and its name is keyed with it."""
    page = password_page(browser, client_, "register")
    submit(browser, page, email="ada@people.example", password=PASSWORD)
    code = answer_to(client_, submit(browser, consent_page(browser, client_), decision="allow"))["code"]
    kept = " ".join(str(list(values)) for values in FlowAnswer.objects.values_list())
    assert FlowAnswer.objects.exclude(sealed="").exists()
    for secret in (code, PASSWORD, "ada@people.example", *[c.value for c in browser.cookies.values()]):
        assert secret not in kept


def test_a_flow_keeps_a_bounded_number_of_answers(client_, browser):
    """I16."""
    page = ask(browser, client_)
    for turn in range(3 * MAX_PER_FLOW):
        assert submit(browser, page, provider="demo", turn=str(turn)).status_code == 303
    assert FlowAnswer.objects.count() <= MAX_PER_FLOW


def test_the_sweep_deletes_what_was_kept(client_, browser):
    submit(browser, consent_page(browser, client_), decision="allow")
    assert FlowAnswer.objects.exists()
    list(sweep(now=timezone.now() + timedelta(hours=1)))
    assert not FlowAnswer.objects.exists()


def test_a_request_whose_first_answer_was_lost_with_its_process_is_served(client_, browser):
    """I22: the process died between its claim and its answer."""
    page = consent_page(browser, client_)
    submit(browser, page, decision="perhaps")
    first = submit(browser, page, decision="allow")
    assert "code" in answer_to(client_, first)
    FlowAnswer.objects.update(answered_at=None, sealed="", claimed_at=timezone.now() - timedelta(seconds=11))
    PendingAuthorization.objects.update(status=Status.AUTHENTICATED, code_digest=None)
    assert "code" in answer_to(client_, submit(browser, page, decision="allow"))


# -- the password pages ----------------------------------------------------------------------------------


@pytest.fixture
def ada():
    user = get_user_model().objects.create(
        username="ada", email="ada@people.example", password=make_password(PASSWORD)
    )
    ProviderIdentity.objects.create(user=user, provider="local", subject=user.email, email=user.email)
    return user


def test_a_second_click_on_sign_in_goes_on_and_is_signed_in(client_, browser, local, ada):
    """The browser dropped the first answer, and with it the cookie of the new session."""
    page = password_page(browser, client_)
    twin = twin_of(browser)
    first = submit(browser, page, email=ada.email, password=PASSWORD)
    second = submit(twin, page, email=ada.email, password=PASSWORD)
    assert same_answer(first, second)
    assert twin.session[SESSION_KEY] == str(ada.pk)
    assert twin.session.session_key == browser.session.session_key
    assert "code" in answer_to(client_, submit(twin, get(twin, second.headers["Location"]), decision="allow"))


def test_a_repeated_sign_in_signs_nobody_in_who_signed_out_since(client_, browser, local, ada):
    page = password_page(browser, client_)
    twin = twin_of(browser)
    submit(browser, page, email=ada.email, password=PASSWORD)
    browser.logout()
    submit(twin, page, email=ada.email, password=PASSWORD)
    assert SESSION_KEY not in twin.session


def test_a_repeated_sign_in_takes_nobodys_session_away(client_, browser, local, ada):
    page = password_page(browser, client_)
    twin = twin_of(browser)
    submit(browser, page, email=ada.email, password=PASSWORD)
    grace = make_user("grace")
    twin.force_login(grace)
    submit(twin, page, email=ada.email, password=PASSWORD)
    assert twin.session[SESSION_KEY] == str(grace.pk)


@pytest.mark.parametrize("step", ["register", "change"])
def test_a_second_click_sends_no_second_mail(client_, browser, local, ada, step):
    page = password_page(browser, client_, step)
    address = ada.email if step == "change" else "new@people.example"
    first = submit(browser, page, email=address, password="nine-loud-herons")
    assert same_answer(first, submit(browser, page, email=address, password="nine-loud-herons"))
    assert len(mail.outbox) == 1
    code = re.search(r"\b([0-9A-Z]{4}-[0-9A-Z]{4})\b", mail.outbox[0].body)[1]
    done = submit(browser, first, code=code)
    assert done.status_code == 303
    assert same_answer(done, submit(browser, first, code=code))


class SlowMail(EmailBackend):
    """A mail server that takes its time."""

    def send_messages(self, email_messages):
        time.sleep(0.7)
        return super().send_messages(email_messages)


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_sends_the_mail(client_, browser, local, settings):
    """Decision 76: the second click comes while the first is at work. It waits for that answer."""
    for name, value in mail_settings("tests.web.test_repeated.SlowMail").items():
        setattr(settings, name, value)
    page = password_page(browser, client_, "register")
    clicks = [
        partial(submit, each, page, email="new@people.example", password="nine-loud-herons")
        for each in (browser, twin_of(browser))
    ]
    assert same_answer(*together(*clicks))
    assert len(mail.outbox) == 1


def test_a_second_click_on_another_mail_sends_one_and_the_next_page_sends_the_next(client_, browser, local):
    page = password_page(browser, client_, "register")
    page = submit(browser, page, email="new@people.example", password=PASSWORD)
    assert len(mail.outbox) == 1

    def resend(page):
        form = soup_of(page).find("input", {"value": "resend"}).find_parent("form")
        fields = {field["name"]: field["value"] for field in form.find_all("input")}
        return post(browser, form["action"], fields)

    first = resend(page)
    assert same_answer(first, resend(page))
    assert len(mail.outbox) == 2
    resend(first)
    assert len(mail.outbox) == 3


def test_a_wrong_password_is_checked_each_time(client_, browser, local, ada):
    """Not final: the person may have set the password meanwhile, and each guess counts."""
    page = password_page(browser, client_)
    assert submit(browser, page, email=ada.email, password="not-yet-mine").status_code == 200
    ada.set_password("not-yet-mine")
    ada.save()
    assert submit(browser, page, email=ada.email, password="not-yet-mine").status_code == 303


# -- the callback ----------------------------------------------------------------------------------------


def test_a_callback_that_comes_twice_gets_the_same_answer(client_, browser, recorded):
    upstream = start(browser, client_)
    twin = twin_of(browser)
    first = come_back(browser, upstream, subject="ada")
    second = come_back(twin, upstream, subject="ada")
    assert same_answer(first, second)
    assert recorded == [("demo", "ada")]
    assert "code" in answer_to(client_, consent(twin, second))


def test_a_callback_that_comes_twice_signs_a_known_person_in_both_times(client_):
    code = code_for(client_, subject="ada")
    assert redeem(client_, code).status_code == 200
    browser = make_browser()
    upstream = start(browser, client_)
    twin = twin_of(browser)
    first = come_back(browser, upstream, subject="ada")
    assert "code" in answer_to(client_, first)
    assert same_answer(first, come_back(twin, upstream, subject="ada"))
    assert SESSION_KEY in twin.session


def test_a_late_second_callback_goes_on_to_where_the_flow_stands(client_, browser, recorded):
    upstream = start(browser, client_)
    come_back(browser, upstream, subject="ada")
    grow_old(600)
    again = come_back(browser, upstream, subject="ada")
    assert is_consent_page(get(browser, again.headers["Location"]))
    assert recorded == [("demo", "ada")]


def test_the_callback_of_a_failure_that_comes_twice_goes_on_to_the_choices(client_, browser, recorded):
    upstream = start(browser, client_)
    assert is_choice_page(come_back(browser, upstream, subject="denied"))
    again = come_back(browser, upstream, subject="denied")
    assert is_choice_page(get(browser, again.headers["Location"]))
    assert recorded == [("demo", "denied")]


def test_a_callback_with_another_code_is_another_callback(client_, browser, recorded):
    """I9, RFC 6749 §10.12: the state is spent."""
    upstream = start(browser, client_)
    come_back(browser, upstream, subject="ada")
    assert_error_page(come_back(browser, upstream, subject="grace"))
    assert recorded == [("demo", "ada")]


def test_a_second_callback_in_another_browser_is_refused(client_, browser, recorded):
    """I7."""
    upstream = start(browser, client_)
    come_back(browser, upstream, subject="ada")
    stranger = make_browser()
    start(stranger, client_)
    assert_error_page(come_back(stranger, upstream, subject="ada"))


def test_a_second_callback_of_a_flow_that_is_over_says_so(client_, browser):
    upstream = start(browser, client_)
    answer = come_back(browser, upstream, subject="ada")
    code = answer_to(client_, consent(browser, answer))["code"]
    assert_error_page(come_back(browser, upstream, subject="ada"))
    assert redeem(client_, code).status_code == 200
    assert_error_page(come_back(browser, upstream, subject="ada"))


def test_a_mixed_up_callback_is_answered_once(client_, browser):
    """RFC 9700 §4.4: the browser keeps nothing of a flow that was mixed up."""
    state = query_of(start(browser, client_).headers["Location"])["state"]
    first = get(browser, f"/callback/other?state={state}&code=ada")
    assert answer_to(client_, first)["error"] == "server_error"
    assert_error_page(get(browser, f"/callback/other?state={state}&code=ada"))


# -- the first request that writes a row -----------------------------------------------------------------


def test_a_link_that_is_followed_twice_writes_one_row(client_, browser, only):
    first = ask(browser, client_)
    assert first.headers["Location"].startswith("https://upstream.example/")
    assert same_answer(first, ask(browser, client_))
    assert PendingAuthorization.objects.count() == 1
    assert is_consent_page(get(browser, come_back(browser, first, subject="ada").headers["Location"]))


def test_another_request_another_browser_or_a_spent_state_get_a_flow_of_their_own(client_, browser, only):
    first = ask(browser, client_)
    states = {query_of(first.headers["Location"])["state"]}
    for response in (ask(browser, client_, state="another"), ask(make_browser(), client_)):
        states.add(query_of(response.headers["Location"])["state"])
    come_back(browser, first, subject="ada")
    states.add(query_of(ask(browser, client_).headers["Location"])["state"])
    assert len(states) == 4


def test_two_codes_of_a_silent_request_are_two(client_):
    """RFC 6749 §4.1.2: a client that asks twice redeems twice."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    codes = [answer_to(client_, ask(browser, client_, prompt="none"))["code"] for _ in range(2)]
    assert [redeem(client_, code).status_code for code in codes] == [200, 200]


# -- requests that no person made ------------------------------------------------------------------------

SPECULATIVE = [
    {"sec-purpose": "prefetch"},
    {"sec-purpose": "prefetch;prerender"},
    {"sec-purpose": "prefetch;anonymous-client-ip"},
    {"purpose": "prefetch"},
    {"purpose": "Prefetch"},
    {"x-purpose": "preview"},
    {"x-moz": "prefetch"},
]


def fetch_ahead(browser, url):
    """Ask for *url* in every way that no person asks; each time the database hears of nothing."""
    before = (rows(), dict(browser.cookies))
    with CaptureQueriesContext(connection) as queries:
        for headers in SPECULATIVE:
            response = get(browser, url, headers=headers)
            assert response.status_code == 403, url
            assert "no-store" in response.headers["Cache-Control"]
        assert browser.head(url, secure=True).status_code == 200
    assert [query["sql"] for query in queries] == []
    assert (rows(), dict(browser.cookies)) == before


def test_a_callback_that_is_fetched_ahead_is_not_spent(client_, browser, recorded):
    upstream = start(browser, client_)
    state = query_of(upstream.headers["Location"])["state"]
    fetch_ahead(browser, f"/callback/demo?state={state}&code=ada")
    assert recorded == []
    assert "code" in answer_to(client_, consent(browser, come_back(browser, upstream, subject="ada")))


def test_an_authorization_request_that_is_fetched_ahead_writes_nothing(client_, browser, only):
    fetch_ahead(browser, f"/authorize?{client_.authorize_query()}")
    assert ask(browser, client_).headers["Location"].startswith("https://upstream.example/")


def test_a_browser_that_continues_signed_in_does_so_with_the_navigation(client_):
    """The binding of a lazy registration is good once."""
    browser = make_browser()
    assert redeem(client_, code_for(client_, browser=browser)).status_code == 200
    for url in (f"/authorize?{client_.authorize_query()}", "/account/sessions", "/logout"):
        fetch_ahead(browser, url)
    ask(browser, client_)
    assert SESSION_KEY in browser.session


def test_no_page_of_a_flow_acts_on_a_request_that_nobody_made(client_, browser, local):
    upstream = start(browser, client_)
    come_back(browser, upstream, subject="ada")
    pending = PendingAuthorization.objects.get()
    for url in (
        f"/authorize/{pending.pk}",
        f"/authorize/{pending.pk}/local",
        "/account/sign-in",
        "/account/return",
        f"/logout?client_id={client_.client_id}",
    ):
        fetch_ahead(browser, url)
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED


def test_a_purpose_that_is_none_of_these_is_a_navigation(client_, browser):
    assert is_choice_page(get(browser, f"/authorize?{client_.authorize_query()}", headers={"purpose": "x"}))


def test_a_form_that_a_person_sends_is_never_speculative(client_, browser):
    page = ask(browser, client_)
    action, fields = form_of(page)
    headers = {"sec-purpose": "prefetch"}
    assert post(browser, action, fields | {"provider": "demo"}, headers=headers).status_code == 303


# -- signing out -----------------------------------------------------------------------------------------


def test_a_second_click_on_sign_out_says_the_same(client_):
    browser = signed_in(make_user())
    page = get(browser, f"/logout?client_id={client_.client_id}")
    first = submit(browser, page, decision="leave")
    assert SESSION_KEY not in browser.session
    second = submit(browser, page, decision="leave")
    assert (first.status_code, first.content) == (second.status_code, second.content)


def test_a_sign_out_form_does_not_speak_for_who_signed_in_since(client_):
    browser = signed_in(make_user())
    page = get(browser, "/logout")
    submit(browser, page, decision="leave")
    signed_in(make_user("grace"), browser=browser)
    assert_error_page(submit(browser, page, decision="leave"))
    assert SESSION_KEY in browser.session


# -- what an error page claims ---------------------------------------------------------------------------


def assert_and_read(response) -> str:
    assert_error_page(response)
    return soup_of(response).get_text(" ")


def test_an_error_page_claims_that_nothing_was_shared_only_where_that_is_certain(client_, browser):
    """Spec 10: no sentence claims what the server does not know."""
    refused = get(make_browser(), "/authorize?client_id=unknown")
    assert "Nothing was shared" in assert_and_read(refused)
    upstream = start(browser, client_)
    page = get(browser, come_back(browser, upstream, subject="ada").headers["Location"])
    submit(browser, page, decision="allow")
    for response in (
        submit(browser, page, decision="deny"),
        get(browser, form_of(page)[0]),
        come_back(browser, upstream, subject="ada"),
        come_back(browser, upstream, subject="grace"),
    ):
        assert "Nothing was shared" not in assert_and_read(response)
