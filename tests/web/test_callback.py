"""Spec 1, the callback: who may come back, how often, and what happens when the upstream fails."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.utils import timezone

from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.signals import user_registered
from tests.support.journey import (
    code_for,
    come_back,
    consent,
    get,
    make_browser,
    post,
    query_of,
    redeem,
    start,
    submit,
)
from tests.support.mail import mail_settings

from .site import (
    RecordingProvider,
    answer_to,
    ask,
    assert_error_page,
    is_choice_page,
    is_consent_page,
    register_client,
    soup_of,
    without_reference,
)

pytestmark = pytest.mark.django_db

User = get_user_model()


@pytest.fixture(autouse=True)
def completed(settings):
    """Both providers write down who asked them."""
    for provider in settings.LAZYAUTH["PROVIDERS"].values():
        provider["class"] = "tests.web.site.RecordingProvider"
    RecordingProvider.completed.clear()
    return RecordingProvider.completed


@pytest.fixture
def browser():
    return make_browser()


def state_of(upstream) -> str:
    return query_of(upstream.headers["Location"])["state"]


def call_back(browser, *, provider="demo", **parameters):
    return get(browser, f"/callback/{provider}?{urlencode(parameters, doseq=True)}")


def row() -> PendingAuthorization:
    return PendingAuthorization.objects.get()


def ways(response) -> list[str]:
    return [button["value"] for button in soup_of(response).find_all("button", {"name": "provider"})]


# -- the state -------------------------------------------------------------------------------------------


def test_the_callback_of_the_browser_that_began_goes_on(client_, browser, completed):
    """I9; what every refusal below is the opposite of."""
    answer = come_back(browser, start(browser, client_), subject="ada")
    assert is_consent_page(get(browser, answer.headers["Location"]))
    assert completed == [("demo", "ada")]
    assert "code" in answer_to(client_, consent(browser, answer))


def test_a_state_is_good_for_one_callback(client_, browser, completed):
    """RFC 6749 §10.12, I9: the second is a page, and the flow of the first is not disturbed."""
    upstream = start(browser, client_)
    answer = come_back(browser, upstream, subject="ada")
    assert_error_page(come_back(browser, upstream, subject="grace"))
    assert completed == [("demo", "ada")]
    page = get(browser, answer.headers["Location"])
    assert "ada@people.example" in page.content.decode()
    assert "code" in answer_to(client_, submit(browser, page, decision="allow"))
    assert_error_page(come_back(browser, upstream, subject="grace"))
    assert completed == [("demo", "ada")]


def test_a_state_of_a_leg_that_was_begun_anew_is_spent(client_, browser, completed):
    """I9: each leg has a state of its own."""
    page = ask(browser, client_)
    first = submit(browser, page, provider="demo")
    submit(browser, page, provider="other")
    second = submit(browser, page, provider="demo")
    assert state_of(first) != state_of(second)
    assert row().status == Status.SENT_UPSTREAM
    assert_error_page(come_back(browser, first, subject="ada"))
    assert completed == []
    assert come_back(browser, second, subject="ada").status_code == 303


def test_an_expired_state_is_refused(client_, browser, completed):
    """I9."""
    upstream = start(browser, client_)
    PendingAuthorization.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_error_page(come_back(browser, upstream, subject="ada"))
    assert completed == []
    assert not User.objects.exists()


def test_a_state_of_another_browser_is_refused_and_not_spent(client_, browser, completed):
    """I7: an attacker who learned the state cannot even end the flow."""
    upstream = start(browser, client_)
    attacker = make_browser()
    start(attacker, register_client("another-client"))
    for stranger in (make_browser(), attacker):
        assert_error_page(come_back(stranger, upstream, subject="attacker"))
        assert SESSION_KEY not in stranger.session
    assert completed == []
    answer = come_back(browser, upstream, subject="ada")
    assert "code" in answer_to(client_, consent(browser, answer))


@pytest.mark.parametrize("state", [None, "", "unknown", "x" * 8192, "'; DROP TABLE", "é", "\ufffd", "%00"])
def test_an_unknown_state_is_a_page(client_, browser, completed, state):
    """I9, I18."""
    start(browser, client_)
    parameters = {"code": "ada"} | ({} if state is None else {"state": state})
    assert_error_page(call_back(browser, **parameters))
    assert completed == []
    assert row().status == Status.SENT_UPSTREAM


def test_the_page_tells_nobody_which_check_failed_nor_whose_flow_it_is(client_, browser):
    """Threat model: a page, no account data, no oracle."""
    user = User.objects.create_user("ada", "ada@people.example")
    ProviderIdentity.objects.create(user=user, provider="demo", subject="ada")
    unknown = call_back(make_browser(), state="unknown", code="ada")
    strange = come_back(make_browser(), start(browser, client_), subject="ada")
    used = start(browser, client_)
    come_back(browser, used, subject="ada")
    spent = come_back(make_browser(), used, subject="ada")
    elsewhere = make_browser()
    expired = start(elsewhere, client_)
    PendingAuthorization.objects.update(expires_at=timezone.now())
    late = come_back(elsewhere, expired, subject="ada")
    assert unknown.status_code == 400
    pages = [without_reference(page) for page in (unknown, strange, spent, late)]
    assert pages == [pages[0]] * 4
    for secret in ("ada", "people.example", "Client of the tests", "client.example"):
        assert secret not in unknown.content.decode()


def test_of_many_flows_only_the_one_of_the_state_goes_on(client_, browser):
    """I9."""
    one, two = start(browser, client_), start(browser, client_)
    come_back(browser, two, subject="ada")
    assert sorted(PendingAuthorization.objects.values_list("status", flat=True)) == [
        Status.AUTHENTICATED,
        Status.SENT_UPSTREAM,
    ]
    assert come_back(browser, one, subject="ada").status_code == 303


# -- the right provider ----------------------------------------------------------------------------------


def test_a_state_of_one_provider_at_another_tells_the_client_and_asks_no_upstream(
    client_, browser, completed
):
    """RFC 9700 §4.4: mix-up."""
    upstream = start(browser, client_, provider="demo")
    response = come_back(browser, upstream, subject="ada", provider="other")
    answer = answer_to(client_, response)
    assert (answer["error"], answer["state"]) == ("server_error", client_.state)
    assert completed == []
    assert row().status == Status.FAILED
    assert_error_page(come_back(browser, upstream, subject="ada", provider="demo"))
    assert completed == []
    assert not DeferredRegistration.objects.exists()


def test_another_browser_cannot_fail_a_flow_by_mixing_it_up(client_, browser):
    """I7."""
    upstream = start(browser, client_)
    assert_error_page(come_back(make_browser(), upstream, subject="ada", provider="other"))
    assert come_back(browser, upstream, subject="ada").status_code == 303


def test_a_state_at_a_provider_that_nobody_configured_asks_no_upstream(client_, browser, completed):
    """RFC 9700 §4.4, I18."""
    answer = answer_to(client_, come_back(browser, start(browser, client_), subject="ada", provider="nobody"))
    assert (answer["error"], answer["state"]) == ("server_error", client_.state)
    assert completed == []


def test_the_second_provider_signs_in_as_well_and_is_somebody_else(client_):
    """I5: the same subject at two providers is two people."""
    for provider in ("demo", "other"):
        browser = make_browser()
        upstream = start(browser, client_, provider=provider)
        assert (
            query_of(upstream.headers["Location"])["redirect_uri"]
            == f"https://auth.example/callback/{provider}"
        )
        answer = come_back(browser, upstream, subject="ada", provider=provider)
        assert redeem(client_, answer_to(client_, consent(browser, answer))["code"]).status_code == 200
    identities = ProviderIdentity.objects.filter(subject="ada").values_list("provider", "user")
    assert len({user for _, user in identities}) == 2


# -- an upstream that fails ------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["denied", "down", "rejected"])
def test_an_upstream_that_fails_leaves_a_page_with_every_way_in_and_the_same_row(client_, browser, failure):
    """Spec 1: retry keeps the pending row."""
    upstream = start(browser, client_)
    before = row()
    page = come_back(browser, upstream, subject=failure)
    assert is_choice_page(page)
    assert ways(page) == ["demo", "other"]
    assert soup_of(page).find(attrs={"role": ["alert", "status"]}) is not None
    assert "upstream-said" not in page.content.decode()
    after = row()
    assert (after.pk, after.status, after.state_digest) == (before.pk, Status.REQUESTED, None)
    assert (after.provider, after.private) == ("", "")
    for provider in ("demo", "other"):
        again = submit(browser, page, provider=provider)
        assert state_of(again) != state_of(upstream)
    answer = come_back(browser, again, subject="ada", provider="other")
    answer = answer_to(client_, consent(browser, answer))
    assert (answer["state"], row().pk) == (client_.state, before.pk)
    assert redeem(client_, answer["code"]).status_code == 200


def test_a_provider_with_a_misspelt_key_is_told_as_one_that_is_not_set_up(client_, browser, settings):
    """Spec 9: an unknown key is no default while the site runs."""
    settings.LAZYAUTH["PROVIDERS"]["hub"] = {"issuer": "https://hub.example", "client_idd": "x"}
    page = start(browser, client_, provider="hub")
    assert is_choice_page(page)
    assert "is not set up correctly" in soup_of(page).find(attrs={"role": "alert"}).get_text()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "access_denied"}, "You did not sign in with Hub"),
        ({"error": "user_cancelled_authorize"}, "You did not sign in with Hub"),
        ({"error": "user_cancelled_login"}, "You did not sign in with Hub"),
        ({"error": "said_no"}, "You did not sign in with Hub"),
        ({"error": "login_required"}, "Hub did not let you sign in"),
        ({"error": "account_selection_required"}, "Hub did not let you sign in"),
        ({"error": "temporarily_unavailable"}, "Hub does not answer at the moment"),
        ({"error": "server_error"}, "Hub does not answer at the moment"),
        ({"error": "invalid_scope"}, "is not set up correctly"),
        ({"error": "<b>"}, "is not set up correctly"),
    ],
)
def test_what_an_upstream_answers_is_told_as_what_it_is(client_, browser, settings, answer, words):
    """The person cancelled, it was refused, it does not answer, or it is set up wrongly."""
    settings.LAZYAUTH["PROVIDERS"]["hub"] = {
        "type": "oauth2",
        "display_name": "Hub",
        "client_id": "x",
        "client_secret": "y",
        "authorization_endpoint": "https://hub.example/authorize",
        "token_endpoint": "https://hub.example/token",
        "userinfo_endpoint": "https://hub.example/me",
        "subject": "id",
        "denials": ["said_no"],
    }
    state = state_of(start(browser, client_, provider="hub"))
    page = call_back(browser, provider="hub", state=state, **answer)
    assert is_choice_page(page)
    told = soup_of(page).find(attrs={"role": ["alert", "status"]}).get_text()
    assert words in told
    assert ("at the moment" in told) is ("at the moment" in words)


def test_a_mail_that_cannot_be_sent_is_told_as_that(client_, browser, settings):
    """Spec 10: nothing is wrong with what the person typed."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    for name, value in mail_settings("tests.providers.test_password.BrokenMail").items():
        setattr(settings, name, value)
    page = submit(browser, ask(browser, client_), provider="local")
    page = get(browser, f"{page.headers['Location']}?step=register")
    page = submit(browser, page, email="new@people.example", password="seven-quiet-otters")
    assert "cannot send mail at the moment" in soup_of(page).find(attrs={"role": "alert"}).get_text()


def test_an_upstream_that_failed_wrote_nothing_about_anybody(client_, browser):
    """I4."""
    come_back(browser, start(browser, client_), subject="down")
    assert not DeferredRegistration.objects.exists()
    assert not User.objects.exists()
    assert SESSION_KEY not in browser.session


def test_the_page_of_a_failure_is_no_consent_and_its_form_no_other_tabs(client_, browser):
    """I7, I8."""
    page = come_back(browser, start(browser, client_), subject="denied")
    assert_error_page(submit(browser, page, decision="allow"))
    other = come_back(browser, start(browser, client_), subject="denied")
    form = {"form_token": soup_of(other).find("input", {"name": "form_token"})["value"], "provider": "demo"}
    assert_error_page(post(browser, soup_of(page).form["action"], form))
    assert_error_page(submit(make_browser(), page, provider="demo"))
    assert submit(browser, page, provider="demo").status_code == 303


def test_the_address_of_a_flow_shows_the_ways_in_again(client_, browser):
    """Spec 1: who comes back with the back button goes on where the flow stands."""
    start(browser, client_)
    page = get(browser, f"/authorize/{row().pk}")
    assert ways(page) == ["demo", "other"]
    assert submit(browser, page, provider="other").status_code == 303
    assert row().provider == "other"


def test_a_provider_that_was_removed_meanwhile_shows_the_others(client_, browser, settings, completed):
    """Spec 1: not configured any more."""
    upstream = start(browser, client_)
    settings.LAZYAUTH["PROVIDERS"].pop("demo")
    page = come_back(browser, upstream, subject="ada")
    assert is_choice_page(page)
    assert ways(page) == ["other"]
    assert soup_of(page).find(attrs={"role": "alert"}) is not None
    assert completed == []
    again = submit(browser, page, provider="other")
    answer = come_back(browser, again, subject="ada", provider="other")
    assert "code" in answer_to(client_, consent(browser, answer))


def test_a_site_that_lost_its_last_provider_says_so(client_, browser, settings):
    """Spec 1, I18."""
    upstream = start(browser, client_)
    settings.LAZYAUTH["PROVIDERS"] = {}
    page = come_back(browser, upstream, subject="ada")
    assert page.status_code == 200
    assert ways(page) == []
    assert "No way to sign in is set up" in page.content.decode()


def test_what_a_provider_kept_cannot_be_opened_after_its_key_is_gone(client_, browser, lazyauth, completed):
    """Threat model: a lost key → sign in again, not a 500."""
    upstream = start(browser, client_)
    lazyauth(VAULT_KEYS=["other:" + "QUFB" * 10 + "QUE="])
    assert_error_page(come_back(browser, upstream, subject="ada"))
    assert completed == []


# -- who comes back --------------------------------------------------------------------------------------


def test_a_deactivated_user_is_refused_and_not_signed_in(client_, browser):
    """Spec 1."""
    assert redeem(client_, code_for(client_)).status_code == 200
    User.objects.update(is_active=False)
    answer = answer_to(client_, come_back(browser, start(browser, client_), subject="ada"))
    assert (answer["error"], answer["state"]) == ("access_denied", client_.state)
    assert SESSION_KEY not in browser.session
    assert User.objects.count() == 1
    assert not DeferredRegistration.objects.exists()


def test_a_user_who_exists_is_signed_in_and_a_new_person_is_not(client_, browser):
    """Spec 1: until a lazy registration is exchanged there is nobody to sign in."""
    come_back(browser, start(browser, client_), subject="ada")
    assert SESSION_KEY not in browser.session
    assert redeem(client_, code_for(client_)).status_code == 200
    come_back(browser, start(browser, client_), subject="ada")
    assert browser.session[SESSION_KEY] == str(User.objects.get().pk)


def test_signing_in_changes_the_session_key(client_, browser):
    """OWASP: a session that an attacker fixed beforehand is worth nothing."""
    assert redeem(client_, code_for(client_)).status_code == 200
    session = browser.session
    session["kept"] = "x"
    session.save()
    before = session.session_key
    come_back(browser, start(browser, client_), subject="ada")
    assert browser.session.session_key != before
    assert browser.session[SESSION_KEY]


def test_signing_in_as_somebody_else_leaves_nothing_of_the_first(client_, browser):
    """Spec 1: select_account at the upstream."""
    for subject in ("ada", "grace"):
        assert redeem(client_, code_for(client_, subject=subject)).status_code == 200
        come_back(browser, start(browser, client_, prompt="login"), subject=subject)
    grace = User.objects.get(email="grace@people.example")
    assert browser.session[SESSION_KEY] == str(grace.pk)


def test_an_immediate_registration_signs_in_and_writes_at_once(client_, browser, lazyauth):
    """Spec 1: the two modes."""
    lazyauth(REGISTRATION="immediate")
    answer = come_back(browser, start(browser, client_), subject="ada")
    assert User.objects.count() == ProviderIdentity.objects.count() == 1
    assert browser.session[SESSION_KEY] == str(User.objects.get().pk)
    assert redeem(client_, answer_to(client_, consent(browser, answer))["code"]).status_code == 200
    assert User.objects.count() == 1


def test_what_goes_wrong_in_an_immediate_registration_is_a_page_and_the_next_try_works(
    client_, browser, lazyauth, caplog
):
    """I3: a host's receiver raises; nothing was written, nothing of what it said is shown or logged (I13)."""
    lazyauth(REGISTRATION="immediate")

    def fail(user, **_):
        raise RuntimeError(user.email)

    user_registered.connect(fail)
    try:
        page = come_back(browser, start(browser, client_), subject="ada")
    finally:
        user_registered.disconnect(fail)
    assert page.status_code < 500
    assert is_choice_page(page)
    assert "does not work at the moment" in soup_of(page).get_text(" ")
    assert not User.objects.exists()
    assert row().status == Status.REQUESTED
    assert "RuntimeError" in caplog.text
    assert "ada@people" not in caplog.text + page.content.decode()

    again = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    assert redeem(client_, answer_to(client_, consent(browser, again))["code"]).status_code == 200
    assert User.objects.count() == 1


# -- how an upstream answers -----------------------------------------------------------------------------


def test_a_form_post_is_turned_into_a_get_that_has_our_cookies(client_, browser, completed):
    """OAuth 2.0 Form Post Response Mode: cross-site, so the POST comes without Lax cookies."""
    upstream = start(browser, client_)
    form = {
        "state": state_of(upstream),
        "code": "ada",
        "user": "{}",
        "id_token": "x",
        "iss": "https://up.example",
    }
    response = post(make_browser(), "/callback/demo", form, headers={"origin": "https://upstream.example"})
    assert response.status_code == 303
    location = response.headers["Location"]
    assert location.startswith("/callback/demo?")
    assert query_of(location) == {name: form[name] for name in ("code", "state", "iss")}
    assert completed == []
    assert row().status == Status.SENT_UPSTREAM
    answer = get(browser, location)
    assert "code" in answer_to(client_, consent(browser, answer))


def test_a_long_code_of_an_upstream_fits(client_, browser, completed):
    """Real upstreams send codes of two thousand characters and more."""
    upstream = start(browser, client_)
    form = {"state": state_of(upstream), "code": "c" * 200, "iss": "https://upstream.example/" + "t" * 5000}
    response = post(make_browser(), "/callback/demo", form)
    assert response.status_code == 303
    assert get(browser, response.headers["Location"]).status_code == 303
    assert completed == [("demo", "c" * 200)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"code": ["ada", "ada"]},
        {"state": ["STATE", "STATE"]},
        {"state": ["STATE", "unknown"]},
        {"iss": ["a", "b"]},
        {"error": ["a", "b"]},
        {"error_description": ["a", "b"]},
        {"code": "x" * 8193},
        {"iss": "x" * 8193},
        {"error_description": "x" * 8193},
        {"code": "ada\x00"},
        {"state": "STATE\x00"},
        {"error": "\x00"},
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_repeated_oversized_and_unstorable_parameters_are_refused_and_spend_nothing(
    client_, browser, completed, parameters, method
):
    """RFC 6749 §3.1, I18."""
    upstream = start(browser, client_)
    state = state_of(upstream)
    sent = {"state": state, "code": "ada"} | {
        name: [each.replace("STATE", state) for each in value]
        if isinstance(value, list)
        else value.replace("STATE", state)
        for name, value in parameters.items()
    }
    if method == "get":
        assert_error_page(call_back(browser, **sent))
    else:
        assert_error_page(post(browser, "/callback/demo", sent))
    assert completed == []
    assert row().status == Status.SENT_UPSTREAM
    assert come_back(browser, upstream, subject="ada").status_code == 303


def test_parameters_that_nobody_knows_are_ignored(client_, browser):
    """RFC 6749 §4.1.2."""
    upstream = start(browser, client_)
    response = call_back(
        browser, state=state_of(upstream), code="ada", session_state=["a", "b"], scope="\x00"
    )
    assert response.status_code == 303


def test_the_path_of_a_callback_may_end_in_a_slash(client_, browser):
    """django-oauth-toolkit's paths do."""
    upstream = start(browser, client_)
    response = get(browser, f"/callback/demo/?{urlencode({'state': state_of(upstream), 'code': 'ada'})}")
    assert response.status_code == 303
    assert get(browser, "/callback/de%20mo?state=x&code=y").status_code == 404


# -- a row that has moved on -----------------------------------------------------------------------------


def test_a_callback_to_a_row_that_was_answered_elsewhere_changes_nothing(client_, browser, completed):
    """Spec 1: another tab of the same flow was faster."""
    page = ask(browser, client_)
    slow = submit(browser, page, provider="demo")
    fast = submit(browser, page, provider="other")
    answer = come_back(browser, fast, subject="ada", provider="other")
    assert_error_page(come_back(browser, slow, subject="grace"))
    assert completed == [("other", "ada")]
    assert row().status == Status.AUTHENTICATED
    assert_error_page(submit(browser, page, provider="demo"))
    assert row().status == Status.AUTHENTICATED
    answer = answer_to(client_, consent(browser, answer))
    assert_error_page(come_back(browser, fast, subject="grace", provider="other"))
    assert redeem(client_, answer["code"]).status_code == 200
    assert_error_page(come_back(browser, fast, subject="grace", provider="other"))
    assert row().status == Status.EXCHANGED
    assert not User.objects.filter(email="grace@people.example").exists()


def test_the_row_of_a_flow_that_was_denied_takes_no_callback(client_, browser):
    """Spec 1."""
    page = ask(browser, client_)
    upstream = submit(browser, page, provider="demo")
    answer = come_back(browser, upstream, subject="ada")
    assert answer_to(client_, consent(browser, answer, "deny"))["error"] == "access_denied"
    assert_error_page(come_back(browser, upstream, subject="ada"))
    assert_error_page(submit(browser, page, provider="demo"))
    assert row().status == Status.FAILED


# -- the pages of a provider of our own ------------------------------------------------------------------


def test_a_providers_page_is_only_for_the_flow_that_went_there(client_, browser, settings):
    """I7: and an upstream has none."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    start(browser, client_)
    for provider in ("demo", "other", "local", "nobody"):
        assert_error_page(get(browser, f"/authorize/{row().pk}/{provider}"))
    page = get(browser, f"/authorize/{row().pk}")
    own = submit(browser, page, provider="local").headers["Location"]
    assert own == f"/authorize/{row().pk}/local"
    assert soup_of(get(browser, own)).find("input", {"name": "password"}) is not None
    assert_error_page(get(make_browser(), own))
    assert_error_page(post(browser, own, {"email": "a@b.example", "password": "x"}))
    for provider in ("demo", "nobody"):
        assert_error_page(get(browser, f"/authorize/{row().pk}/{provider}"))


def test_a_providers_page_after_the_provider_was_removed_shows_the_others(client_, browser, settings):
    """Spec 1: not configured any more."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    own = start(browser, client_, provider="local").headers["Location"]
    settings.LAZYAUTH["PROVIDERS"].pop("local")
    page = get(browser, own)
    assert is_choice_page(page)
    assert ways(page) == ["demo", "other"]
    assert submit(browser, page, provider="demo").status_code == 303
