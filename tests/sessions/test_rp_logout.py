"""OpenID Connect RP-Initiated Logout 1.0: who may sign whom out, and where the browser goes afterwards."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration, PendingAuthorization, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.tokens import keys
from tests.sessions.conftest import AFTER, signed_in_at
from tests.support.journey import ISSUER, get, make_browser, post, query_of, redeem, sign_in, submit
from tests.web.site import assert_error_page, soup_of

pytestmark = pytest.mark.django_db


def end_session(browser, **parameters):
    return get(browser, f"/logout?{urlencode(parameters)}")


def is_question(response) -> bool:
    return response.status_code == 200 and soup_of(response).find("button", {"value": "leave"}) is not None


def is_signed_in(browser) -> bool:
    return "_auth_user_id" in browser.session


def signed(claims, *, typ="JWT", header=None):
    """Sign *claims* with the site's own key, whatever they are."""
    return keys.sign(claims, key=keys.key_for(), typ=typ)


def claims_of(token) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


# -- the person, in their own browser -----------------------------------------------------------------------


def test_the_persons_own_id_token_signs_out_and_leads_back(ada):
    """§2 and §3: no question, the registered URI, the state."""
    answer = end_session(
        ada.browser, id_token_hint=ada.id_token, post_logout_redirect_uri=AFTER, state="s t&"
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{AFTER}?")
    assert query_of(answer.headers["Location"]) == {"state": "s t&"}
    assert not ada.is_alive()
    assert not UpstreamToken.objects.exists()
    assert not is_signed_in(ada.browser)


def test_only_this_clients_session_ends(ada, maps):
    """Spec 6: this client's session, not all of the user's."""
    end_session(ada.browser, prompt="x")  # The person's browser is signed in on its next visit.
    elsewhere = signed_in_at(maps, browser=ada.browser)
    on_the_phone = signed_in_at(ada.client)
    assert end_session(ada.browser, id_token_hint=ada.id_token).status_code == 200
    assert not ada.is_alive()
    assert elsewhere.is_alive()
    assert on_the_phone.is_alive()


def test_afterwards_nobody_is_signed_in_in_this_browser(ada):
    """§2: prompt=none answers login_required."""
    end_session(ada.browser, id_token_hint=ada.id_token)
    silent = get(ada.browser, f"/authorize?{ada.client.authorize_query(prompt='none')}")
    assert query_of(silent.headers["Location"])["error"] == "login_required"


def test_a_person_whom_the_exchange_wrote_is_not_signed_in_by_the_next_visit(ada):
    """The browser's binding, which would sign it in later, is spent with the session."""
    assert PendingAuthorization.objects.get().resumed_at is None
    ada.client.redirect_uri = "https://client.example/cb"
    assert end_session(ada.browser, id_token_hint=ada.id_token).status_code == 200
    get(ada.browser, f"/authorize?{ada.client.authorize_query()}")
    assert not is_signed_in(ada.browser)


def test_what_else_this_browser_registered_does_not_sign_it_in_either(trail, maps):
    """Two people registered in two tabs: the browser is signed in as one, and out for good."""
    browser = make_browser()
    locations = [sign_in(browser, trail, subject="ada"), sign_in(browser, maps, subject="grace")]
    for client, location in zip((trail, maps), locations, strict=True):
        assert redeem(client, query_of(location)["code"]).status_code == 200
    question = end_session(browser)
    assert is_signed_in(browser)
    submit(browser, question, decision="leave")
    get(browser, f"/authorize?{trail.authorize_query()}")
    assert not is_signed_in(browser)


def test_a_session_that_ended_signs_no_browser_in(ada):
    """After it ended nothing of the session works, its promise to the browser included."""
    end.end_session(UUID(ada.sid))
    get(ada.browser, f"/authorize?{ada.client.authorize_query()}")
    assert not is_signed_in(ada.browser)


def test_an_expired_id_token_is_good(ada):
    """§2: the OP SHOULD accept ID Tokens when the RP identified has a current session."""
    old = claims_of(ada.id_token)
    hint = signed({**old, "iat": int(time.time()) - 90_000, "exp": int(time.time()) - 86_400})
    answer = end_session(ada.browser, id_token_hint=hint, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER
    assert not ada.is_alive()


def test_a_form_of_the_clients_site_is_taken_up_by_a_get(ada):
    """§2: GET and POST. A cross-site form brings no Lax cookie; nothing ends before the GET that does."""
    answer = post(
        make_browser(), "/logout", {"id_token_hint": ada.id_token, "post_logout_redirect_uri": AFTER}
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/logout?")
    assert ada.is_alive()
    assert get(ada.browser, answer.headers["Location"]).headers["Location"] == AFTER
    assert not ada.is_alive()


def test_without_an_address_to_go_back_to_a_page_says_so(ada):
    answer = end_session(ada.browser, id_token_hint=ada.id_token)
    assert answer.status_code == 200
    assert soup_of(answer).h1.get_text() == "You are signed out"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_session_that_is_over_still_leads_back(ada):
    end_session(ada.browser, id_token_hint=ada.id_token)
    browser = ada.browser
    browser.force_login(get_user_model().objects.get())
    answer = end_session(browser, id_token_hint=ada.id_token, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER
    assert not is_signed_in(browser)


def test_the_page_speaks_the_persons_language(ada):
    answer = end_session(ada.browser, ui_locales="tlh de")
    assert answer.headers["Content-Language"] == "de"


# -- where nobody can know ----------------------------------------------------------------------------------


def test_without_an_id_token_the_person_is_asked(ada):
    """§2: the OP MUST ask the End-User."""
    answer = end_session(ada.browser, client_id="trail", post_logout_redirect_uri=AFTER, state="x")
    assert is_question(answer)
    assert ada.is_alive()
    assert "Trail Journal" in soup_of(answer).get_text()
    confirmed = submit(ada.browser, answer, decision="leave")
    assert confirmed.headers["Location"] == f"{AFTER}?state=x"
    assert not ada.is_alive()
    assert not is_signed_in(ada.browser)


def test_who_wants_to_stay_stays(ada):
    answer = submit(ada.browser, end_session(ada.browser, client_id="trail"), decision="stay")
    assert answer.status_code == 200
    assert ada.is_alive()
    assert is_signed_in(ada.browser)


def test_without_a_client_only_this_browser_is_signed_out(ada):
    answer = submit(ada.browser, end_session(ada.browser), decision="leave")
    assert soup_of(answer).h1.get_text() == "You are signed out"
    assert not is_signed_in(ada.browser)
    assert ada.is_alive()


def test_somebody_elses_id_token_ends_nothing_of_theirs(ada, trail):
    """§2: MUST ask if the ID Token does not belong to the current user; and then it is the current one's sessions."""
    grace = signed_in_at(trail, subject="grace")
    end_session(grace.browser)
    question = end_session(grace.browser, id_token_hint=ada.id_token, post_logout_redirect_uri=AFTER)
    assert is_question(question)
    assert "grace@people.example" in soup_of(question).get_text()
    assert ada.is_alive()
    assert grace.is_alive()
    submit(grace.browser, question, decision="leave")
    assert ada.is_alive()
    assert not grace.is_alive()


def test_a_browser_that_nobody_is_signed_in_in_is_asked(ada):
    """An ID token that leaked into a log ends nothing by itself."""
    browser = make_browser()
    question = end_session(browser, id_token_hint=ada.id_token, post_logout_redirect_uri=AFTER)
    assert is_question(question)
    assert ada.is_alive()
    assert submit(browser, question, decision="leave").headers["Location"] == AFTER
    assert not ada.is_alive()


def test_nobody_and_nothing_to_go_by_leads_nowhere_by_itself(ada):
    """A stranger's client must not make a redirector of this site."""
    answer = end_session(make_browser(), client_id="trail", post_logout_redirect_uri=AFTER)
    assert answer.status_code == 200
    assert soup_of(answer).find("a")["href"] == AFTER


# -- forgeries ------------------------------------------------------------------------------------------------


def question_of(signed_in):
    return end_session(signed_in.browser, client_id="trail", post_logout_redirect_uri=AFTER)


def test_another_site_cannot_post_the_answer(ada):
    """CSRF: the form needs the cookie of its page, and what that cookie signs."""
    browser = ada.browser
    assert_error_page(post(browser, "/logout/confirm", {"decision": "leave"}))
    end_session(browser)
    mallory = end_session(make_browser(), id_token_hint=ada.id_token)
    fields = {i["name"]: i["value"] for i in soup_of(mallory).find_all("input")}
    assert_error_page(post(browser, "/logout/confirm", fields | {"decision": "leave"}))
    assert ada.is_alive()
    assert is_signed_in(browser)


@pytest.mark.parametrize("field", ["form_token", "request", "flow"])
@pytest.mark.parametrize(
    "value", ["", "x", "\x00", "é" * 100, "0190a0a0-0000-7000-8000-000000000000", "x" * 20_000]
)
def test_a_form_that_was_changed_is_refused(ada, field, value):
    question = question_of(ada)
    answer = submit(ada.browser, question, decision="leave", **{field: value})
    assert_error_page(answer)
    assert ada.is_alive()


def test_the_answer_of_a_page_for_one_person_is_not_anothers(ada, trail):
    question = question_of(ada)
    get_user_model().objects.create_user("grace")
    ada.browser.force_login(get_user_model().objects.get(username="grace"))
    assert_error_page(submit(ada.browser, question, decision="leave"))
    assert ada.is_alive()


def test_the_page_of_one_request_does_not_carry_another(ada):
    """What is signed is tied to the cookie of its own page."""
    first, second = question_of(ada), end_session(ada.browser)
    other = {i["name"]: i["value"] for i in soup_of(first).find_all("input")}["request"]
    assert_error_page(submit(ada.browser, second, decision="leave", request=other))
    assert ada.is_alive()


HINTS = {
    "an access token": lambda claims: signed(claims, typ="at+jwt"),
    "a logout token": lambda claims: signed(claims, typ="logout+jwt"),
    "no type": lambda claims: signed(claims, typ=""),
    "events": lambda claims: signed({**claims, "events": {}}),
    "another issuer": lambda claims: signed({**claims, "iss": "https://evil.test"}),
    "two audiences": lambda claims: signed({**claims, "aud": ["trail", "maps"]}),
    "no audience": lambda claims: signed({k: v for k, v in claims.items() if k != "aud"}),
    "no subject": lambda claims: signed({k: v for k, v in claims.items() if k != "sub"}),
    "no session": lambda claims: signed({k: v for k, v in claims.items() if k != "sid"}),
    "a session that is no UUID": lambda claims: signed({**claims, "sid": "x"}),
    "a session that is no text": lambda claims: signed({**claims, "sid": 7}),
    "another signature": lambda claims: signed(claims)[:-8] + "AAAAAAAA",
    "no signature": lambda claims: (
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0."
        + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        + "."
    ),
    "garbage": lambda claims: "a.b.c",
    "no dots": lambda claims: "x" * 8000,
    "not ASCII": lambda claims: "é.é.é",
}


@pytest.mark.parametrize("kind", HINTS)
def test_what_is_no_id_token_of_ours_is_no_hint(ada, kind):
    """Issue 6, done when 3: typ, aud, iss and alg confusion. The person is asked, as if there were none."""
    hint = HINTS[kind](claims_of(ada.id_token))
    answer = end_session(ada.browser, id_token_hint=hint, client_id="trail")
    assert is_question(answer), answer.content
    assert ada.is_alive()


def test_a_session_of_somebody_else_in_ones_own_id_token_does_not_end(ada, trail):
    """Nobody but us signs such a token; the session's own row has the last word all the same."""
    grace = signed_in_at(trail, subject="grace")
    end_session(grace.browser)
    hint = signed({**claims_of(grace.id_token), "sid": ada.sid})
    end_session(grace.browser, id_token_hint=hint)
    assert ada.is_alive()


def test_a_session_at_another_client_does_not_end(ada, maps):
    hint = signed({**claims_of(ada.id_token), "aud": "maps"})
    end_session(ada.browser, id_token_hint=hint)
    assert ada.is_alive()


def test_a_client_that_is_not_the_one_of_the_id_token_is_refused(ada, maps):
    """§2: the OP MUST verify that the Client Identifier matches the one of the ID Token."""
    assert_error_page(end_session(ada.browser, id_token_hint=ada.id_token, client_id="maps"))
    assert ada.is_alive()


# -- where the browser must not go ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.test/",
        f"{AFTER}/",
        f"{AFTER}?x=1",
        f"{AFTER}#x",
        "https://CLIENT.example/signed-out",
        "https://client.example:443/signed-out",
        "https://client.example/cb",
        "https://maps.example/out",
        f"{AFTER} myapp.example:/out",
        "javascript:alert(1)",
        "//evil.test",
        "/evil",
        "x" * 3000,
        f"{AFTER}\x00",
        "https://client.example/signed-out\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_an_address_that_is_not_registered_is_a_page(ada, maps, uri):
    """§3: MUST exactly match; MUST NOT redirect otherwise. Nothing ends either."""
    answer = end_session(ada.browser, id_token_hint=ada.id_token, post_logout_redirect_uri=uri)
    assert_error_page(answer)
    assert ada.is_alive()


def test_an_address_without_a_client_is_a_page(ada):
    assert_error_page(end_session(ada.browser, post_logout_redirect_uri=AFTER))
    assert_error_page(end_session(ada.browser, id_token_hint="x", post_logout_redirect_uri=AFTER))


def test_an_apps_own_scheme_is_led_back_to(ada):
    answer = end_session(
        ada.browser, id_token_hint=ada.id_token, post_logout_redirect_uri="myapp.example:/out"
    )
    assert answer.headers["Location"] == "myapp.example:/out"


def test_a_dangerous_address_that_somebody_registered_is_a_page(ada):
    get_application_model().objects.update(
        post_logout_redirect_uris="javascript:alert(1) http://client.example/"
    )
    for uri in ("javascript:alert(1)", "http://client.example/"):
        assert_error_page(end_session(ada.browser, id_token_hint=ada.id_token, post_logout_redirect_uri=uri))


def test_an_unknown_and_a_disabled_client_are_a_page(ada):
    assert_error_page(end_session(ada.browser, client_id="nobody"))
    ClientRegistration.objects.update_or_create(
        client=get_application_model().objects.get(),
        defaults={"disabled_at": "2020-01-01T00:00Z", "source": "elsewhere"},
    )
    assert_error_page(end_session(ada.browser, id_token_hint=ada.id_token))


@pytest.mark.parametrize(
    "query",
    [
        "client_id=%00",
        "client_id=%ED%A0%80",
        "client_id=a&client_id=b",
        "state=" + "x" * 5000,
        "state=%00",
        "id_token_hint=" + "x" * 9000,
        "id_token_hint=a&id_token_hint=b",
        "ui_locales=" + "x" * 200,
        "logout_hint=" + "x" * 300,
        "logout_hint=%00",
        "post_logout_redirect_uri=http%3A%2F%2F%5B",
        "client_id=" + "x" * 300,
        "%zz=1&client_id=%zz",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_whatever_comes_is_a_page_of_4xx(ada, query, method):
    """I18."""
    if method == "get":
        answer = get(ada.browser, "/logout", QUERY_STRING=query)
    else:
        answer = ada.browser.post(
            "/logout", query, content_type="application/x-www-form-urlencoded", secure=True
        )
        if answer.status_code == 303:
            answer = get(ada.browser, answer.headers["Location"])
    assert_error_page(answer)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("state=a&state=b", "Duplicate state parameter."),
        ("id_token_hint=%00", "Invalid id_token_hint parameter value."),
    ],
)
def test_whoever_makes_the_client_reads_what_is_wrong_with_a_parameter(query, sentence):
    assert sentence in get(make_browser(), f"/logout?{query}").content.decode()


def test_an_unregistered_method_is_a_405(ada):
    assert ada.browser.put("/logout", secure=True).status_code == 405
    assert get(ada.browser, "/logout/confirm").status_code == 405


def test_the_metadata_names_the_endpoint():
    """§2.1, Back-Channel Logout §2.1."""
    found = get(make_browser(), "/.well-known/openid-configuration").json()
    assert found["end_session_endpoint"] == f"{ISSUER}/logout"
    assert found["backchannel_logout_supported"] is True
    assert found["backchannel_logout_session_supported"] is True


def test_i23_a_second_press_ends_no_session_of_the_person_that_the_id_token_names(ada, trail):
    """Somebody else is signed in and confirms. When the form comes again, nobody is."""
    grace = signed_in_at(trail, subject="grace")
    get(grace.browser, f"/authorize?{trail.authorize_query()}")
    question = end_session(grace.browser, id_token_hint=ada.id_token)
    submit(grace.browser, question, decision="leave")
    submit(grace.browser, question, decision="leave")
    assert ada.is_alive()
    assert not grace.is_alive()
