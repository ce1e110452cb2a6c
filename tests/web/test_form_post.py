"""Answers in the body of a form (OAuth 2.0 Form Post Response Mode): the same ones, at the same place."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from django_lazyauth.models import PendingAuthorization
from tests.support.journey import come_back, get, make_browser, redeem, submit

from .site import (
    answer_to,
    ask,
    ask_raw,
    assert_error_page,
    change_client,
    make_user,
    posted_to,
    register_client,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db


def asked(browser, client, **changes):
    return ask(browser, client, response_mode="form_post", **changes)


def consent_page(browser, client):
    left = submit(browser, asked(browser, client), provider="demo")
    return get(browser, come_back(browser, left, subject="ada").headers["Location"])


def test_a_code_comes_in_a_form_and_is_redeemed(client_):
    """Form Post Response Mode §2, RFC 9207 §2: the answer has ``state`` and ``iss``, and nothing is in a URL."""
    browser = make_browser()
    response = submit(browser, consent_page(browser, client_), decision="allow")
    answer = posted_to(client_, response)
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == client_.state
    assert "Location" not in response.headers
    assert redeem(client_, answer["code"]).status_code == 200


def test_a_denial_comes_in_a_form(client_):
    """RFC 6749 §4.1.2.1."""
    browser = make_browser()
    answer = posted_to(client_, submit(browser, consent_page(browser, client_), decision="deny"))
    assert (answer["error"], answer["state"]) == ("access_denied", client_.state)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid unheard-of"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_an_error_comes_in_a_form(client_, changes, error):
    """Multiple Response Type Encoding Practices §2.1: errors as answers."""
    answer = posted_to(client_, asked(make_browser(), client_, **changes))
    assert (answer["error"], answer["state"]) == (error, client_.state)


def test_an_answer_without_a_page_comes_in_a_form(client_):
    """Whoever allowed the client before is asked nothing, and the button still stands for who runs no scripts."""
    browser = signed_in(make_user())
    assert "code" in posted_to(client_, submit(browser, asked(browser, client_), decision="allow"))
    assert "code" in posted_to(client_, asked(browser, client_))


def test_the_form_leads_to_the_client_alone_and_the_script_is_ours(client_):
    """Content Security Policy: no script but a static one, and no other target for the form."""
    response = asked(make_browser(), client_, prompt="none")
    policy = response.headers["Content-Security-Policy"].split("; ")
    place = urlsplit(client_.redirect_uri)
    assert f"form-action {place.scheme}://{place.netloc}" in policy
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    (script,) = soup_of(response).find_all("script")
    assert (script.get_text(), script["src"]) == ("", "/static/django_lazyauth/form_post.js")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_what_a_client_sent_is_text_in_the_form(client_):
    """RFC 6749 §10.14: a state is no markup."""
    state = '"><script>alert(1)</script>&amp;'
    response = asked(make_browser(), client_, prompt="none", state=state)
    assert posted_to(client_, response)["state"] == state
    assert len(soup_of(response).find_all("script")) == 1


def test_a_second_click_gets_the_same_form(client_):
    """I23: one code, in one form."""
    browser = make_browser()
    page = consent_page(browser, client_)
    first = submit(browser, page, decision="allow")
    second = submit(browser, page, decision="allow")
    assert posted_to(client_, first) == posted_to(client_, second)
    assert first.headers["Content-Security-Policy"] == second.headers["Content-Security-Policy"]


def test_a_click_after_the_exchange_brings_no_spent_code(client_):
    """I2, I23: the client would redeem it, and a replay ends the session."""
    browser = make_browser()
    page = consent_page(browser, client_)
    redeem(client_, posted_to(client_, submit(browser, page, decision="allow"))["code"])
    again = submit(browser, page, decision="allow")
    assert again.status_code == 200
    assert soup_of(again).find("form") is None


@pytest.mark.parametrize("redirect_uri", ["com.example.app:/cb", "http://[::1]:8765/cb"])
def test_an_address_that_no_form_may_name_gets_no_form(db, redirect_uri):
    """An app that is opened by its scheme gets no body, and no policy for forms can name an IPv6 address."""
    client = register_client(redirect_uris=redirect_uri)
    answer = answer_to(client, asked(make_browser(), client))
    assert answer["error"] == "invalid_request"
    assert "form_post" in answer["error_description"]


def test_a_loopback_client_gets_a_form_at_its_port(db):
    """RFC 8252 §7.3: the policy names the port of the request."""
    client = register_client(redirect_uris="http://127.0.0.1/cb")
    client.redirect_uri = "http://127.0.0.1:41111/cb"
    response = asked(make_browser(), client, prompt="none")
    assert posted_to(client, response)["error"] == "login_required"
    assert "form-action http://127.0.0.1:41111" in response.headers["Content-Security-Policy"]


def test_two_modes_are_none(client_):
    """RFC 6749 §3.1: a repeated parameter is refused, in the query that every client reads."""
    query = f"{client_.authorize_query(response_mode='form_post')}&response_mode=query"
    response = ask_raw(make_browser(), query)
    assert answer_to(client_, response)["error"] == "invalid_request"


def test_a_mode_other_than_these_is_told_in_the_query(client_):
    """OAuth 2.0 Multiple Response Types §2.1."""
    for mode in ("fragment", "jwt", "form_post.jwt", "FORM_POST"):
        answer = answer_to(client_, ask(make_browser(), client_, response_mode=mode))
        assert answer["error"] == "invalid_request"


def test_nothing_is_posted_to_an_address_that_was_withdrawn(client_):
    """I10: the redirect URI is checked again when the code is issued."""
    browser = make_browser()
    page = consent_page(browser, client_)
    assert PendingAuthorization.objects.get().is_answer_posted
    change_client(client_, redirect_uris="https://client.example/other")
    assert_error_page(submit(browser, page, decision="allow"))
