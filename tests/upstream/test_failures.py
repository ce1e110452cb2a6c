"""Who is told what when a provider cannot sign somebody in: the person, the operator by the log, and the client.

The answers come from a real provider process; nobody is signed in by any of them.
"""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.utils import timezone, translation

import django_lazyauth
from django_lazyauth.errors import IdentityRejected
from django_lazyauth.models import (
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    Status,
    UpstreamToken,
)
from django_lazyauth.openid import key_fetch
from django_lazyauth.sign_in.failures import LEVELS
from django_lazyauth.web.choose import REFUSED
from tests.support.journey import get, make_browser, query_of, start, submit
from tests.support.providers import BelievingProvider

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)

#: Of each reason: the level of its line, and what begins the sentence in each language. "Acme" is the provider.
SENTENCES = {
    "cancelled": (
        logging.INFO,
        "You did not sign in with Acme.",
        "Sie haben sich nicht mit Acme angemeldet.",
        "Vous ne vous êtes pas connecté avec Acme.",
    ),
    "needs_interaction": (
        logging.INFO,
        "Acme did not let you sign in.",
        "Acme hat Sie nicht angemeldet.",
        "Acme ne vous a pas connecté.",
    ),
    "down": (
        logging.WARNING,
        "Acme does not answer at the moment.",
        "Acme antwortet zurzeit nicht.",
        "Acme ne répond pas pour le moment.",
    ),
    "misconfigured": (
        logging.ERROR,
        "The sign-in at Acme is not set up correctly. We have been told.",
        "Die Anmeldung bei Acme ist nicht richtig eingerichtet. Wir wissen davon.",
        "La connexion auprès de Acme n’est pas configurée correctement. Nous en sommes informés.",
    ),
    "not_allowed": (
        logging.INFO,
        "This account may not sign in here. Choose another.",
        "Dieses Konto darf sich hier nicht anmelden. Wählen Sie ein anderes.",
        "Ce compte ne peut pas se connecter ici. Choisissez-en un autre.",
    ),
    "refused": (
        logging.ERROR,
        "The answer of Acme could not be verified. Start again",
        "Die Antwort von Acme konnte nicht geprüft werden. Beginnen Sie noch einmal",
        "La réponse de Acme n’a pas pu être vérifiée. Recommencez",
    ),
}
#: Each row is read in these. In the others the catalogue is what a page says (``tests/site/test_languages.py``).
LANGUAGES = ("en", "de", "fr")
REFERENCES = {"en": "Reference", "de": "Kennnummer", "fr": "Référence"}
SHIPPED = {folder.name for folder in (Path(django_lazyauth.__file__).parent / "locale").iterdir()}
REFUSED_IN_ENGLISH = "Acme did not let you sign in. Try again, or choose another way."
#: What an upstream sends beside the code of its error. It may hold anything about the person.
SAID = "upstream-said-this about ada@people.example"


def token_answer(status, error, *, times=1):
    return {
        "token_answers": times * [{"status": status, "body": {"error": error, "error_description": SAID}}]
    }


def refused_by(error, reason, stage="authorization"):
    """A row for an error of the authorization endpoint."""
    return {"authorize_error": error}, reason, stage, error if error.islower() else "", None


#: What the provider does → reason, stage, error code and status in the log. ``entry``: what the operator wrote.
ROWS = {
    # cancelled
    "user_cancelled_login": refused_by("user_cancelled_login", "cancelled"),
    "denials": (
        {"authorize_error": "person_said_no", "entry": {"denials": ["person_said_no"]}},
        *("cancelled", "authorization", "person_said_no", None),
    ),
    # needs_interaction
    **{
        word: refused_by(word, "needs_interaction")
        for word in ("interaction_required", "consent_required", "account_selection_required")
    },
    # down
    "temporarily_unavailable": refused_by("temporarily_unavailable", "down"),
    "token_503": ({"token_answers": [{"status": 503, "body": "<h1>busy</h1>"}]}, "down", "token", "", 503),
    "metadata_500": ({"metadata_gone": 500}, "down", "keys", "", None),
    "keys_stale": ({"keys_of": 25}, "down", "keys", "", None),
    "no_tls": ({"entry": {"token_endpoint": "https-of-issuer"}}, "down", "token", "", None),
    # misconfigured
    **{
        word: refused_by(word, "misconfigured")
        for word in ("unauthorized_client", "invalid_scope", "redirect_uri_mismatch", "invalid_request")
    },
    "other_issuer": ({"metadata": {"issuer": "https://other.example"}}, "misconfigured", "keys", "", None),
    "metadata_404": (
        {"entry": {"openid_configuration": "/nowhere"}},
        *("misconfigured", "keys", "", None),
    ),
    "metadata_moved": (
        {"redirects": {"/.well-known/openid-configuration": "https://new.example/x?y"}},
        *("misconfigured", "keys", "", None),
    ),
    "token_moved": ({"redirects": {"/token": "/new?z"}}, "misconfigured", "token", "", 302),
    "unknown_key_of_the_entry": (
        {"entry": {"client_secert": "hidden"}},
        *("misconfigured", "configuration", "", None),
    ),
    # not_allowed
    "allow": ({"entry": {"allow": {"hd": ["corp.example"]}}}, "not_allowed", "account", "", None),
    # refused
    "userinfo_sub": (
        {"entry": {"userinfo": "always"}, "userinfo": {"sub": "person-2"}},
        *("refused", "userinfo", "", None),
    ),
    "code_refused_twice": (
        {"token_answers": ["invalid_grant"] * 2},
        "refused",
        "token",
        "invalid_grant",
        400,
    ),
    "audience": ({"claims": {"aud": "another"}}, "refused", "id_token", "", None),
    "expired": ({"claims": {"exp": 1}}, "refused", "id_token", "", None),
    "signature": ({"header": {"kid": None}}, "refused", "id_token", "", None),
    "issuer_of_the_answer": (
        {"callback": {"iss": "https://other.example"}},
        "refused",
        "authorization",
        "",
        None,
    ),
    "access_denied": (
        {"authorize_error": "access_denied"},
        "cancelled",
        "authorization",
        "access_denied",
        None,
    ),
    "login_required": (
        {"authorize_error": "login_required"},
        "needs_interaction",
        "authorization",
        "login_required",
        None,
    ),
    "server_error": ({"authorize_error": "server_error"}, "down", "authorization", "server_error", None),
    "odd_error": ({"authorize_error": "ada@people.example"}, "misconfigured", "authorization", "", None),
    "token_500": ({"token_answers": ["500"]}, "down", "token", "", 500),
    "token_429": (token_answer(429, "slow_down"), "down", "token", "slow_down", 429),
    "token_closed": ({"token_answers": ["close"]}, "down", "token", "", None),
    # The other way to authenticate is tried once.
    "invalid_client": (
        token_answer(401, "invalid_client", times=2),
        "misconfigured",
        "token",
        "invalid_client",
        401,
    ),
    "token_404": ({"token_answers": [{"status": 404, "body": "no"}]}, "misconfigured", "token", "", 404),
    "invalid_grant": ({"token_answers": ["invalid_grant"]}, "refused", "token", "invalid_grant", 400),
    "odd_code": (token_answer(400, SAID), "refused", "token", "", 400),
    "html": ({"token_answers": ["html"]}, "refused", "token", "", 200),
    "nonce": ({"claims": {"nonce": "another"}}, "refused", "id_token", "", None),
    "unknown_key": ({"unpublished_key": True}, "refused", "id_token", "", None),
}


@pytest.fixture(autouse=True)
def told(caplog):
    """The lines about legs that failed, also those that no operator has to read."""
    caplog.set_level(logging.INFO, logger="django_lazyauth.upstream")

    def lines():
        return [record for record in caplog.records if record.getMessage().startswith("sign-in failed:")]

    return lines


def browser_in(language: str) -> Browser:
    return Browser(
        headers={"accept-language": language}, enforce_csrf_checks=True, SERVER_NAME="auth.example"
    )


def fail(upstream, client_, levers, *, language="en", browser=None):
    """Choose the provider, and come back from it with what *levers* make of its answer."""
    browser, levers = browser or browser_in(language), dict(levers)
    entry = {
        name: f"{upstream.issuer}{value}" if value == "/nowhere" else value
        for name, value in levers.pop("entry", {}).items()
    }
    if "token_endpoint" in entry:
        # A server that speaks no TLS.
        entry["token_endpoint"] = upstream.issuer.replace("http:", "https:") + "/token"
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.config(**entry)
    if hours := levers.pop("keys_of", 0):
        key_fetch.refresh(key_fetch.configured_descriptor("acme"))
        then = timezone.now() - timedelta(hours=hours)
        ProviderKeySet.objects.update(fetched_at=then, fresh_until=then, next_refresh_at=then)
        levers["jwks_answer"] = "500"
    if levers.pop("metadata_gone", 0):
        levers["jwks_answer"] = "500"
    upstream.control(**levers)
    left = start(browser, client_, provider="acme")
    # Where the provider cannot even begin there is a page at once.
    return go_upstream(upstream, browser, left) if "Location" in left.headers else left


def sentence_of(page) -> str:
    return BeautifulSoup(page.content, "html.parser").find(attrs={"role": ["alert", "status"]}).get_text()


def last_words(page) -> str:
    return BeautifulSoup(page.content, "html.parser").main.find_all(True)[-1].get_text(strip=True)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_failure_has_its_line_and_the_page_ends_with_its_reference(
    upstream, client_, told, row, language
):
    levers, reason, stage, code, status = ROWS[row]
    page = fail(upstream, client_, levers, language=language)
    level, *sentences = SENTENCES[reason]
    sentence = sentences[LANGUAGES.index(language)]
    assert page.status_code == 200
    assert sentence_of(page).startswith(sentence)
    [line] = told()
    assert (line.levelno, line.provider, line.reason, line.stage) == (level, "acme", reason, stage)
    assert (line.upstream_error, line.http_status) == (code, status)
    assert 0 <= line.seconds < 60
    assert re.fullmatch("[0-9A-F]{8}", line.reference)
    assert last_words(page) == f"{REFERENCES[language]} {line.reference}"
    for name in ("reference", "provider", "stage", "reason"):
        assert f"{name}={getattr(line, name)}" in line.getMessage()
    for secret in (SAID, "people.example", upstream.client_secret, "code-", "at-"):
        assert secret not in str(vars(line))


@pytest.mark.parametrize("language", sorted(SHIPPED - set(LANGUAGES)))
def test_the_page_says_it_in_each_other_language_that_is_shipped(upstream, client_, language):
    page = fail(upstream, client_, ROWS["consent_required"][0], language=language.replace("_", "-"))
    with translation.override(language.replace("_", "-")):
        sentence = str(REFUSED).format(name="Acme")
    assert sentence != REFUSED_IN_ENGLISH
    assert sentence_of(page).startswith(sentence)
    assert page.headers["Content-Language"].lower() == language.replace("_", "-").lower()


def test_the_table_has_every_reason_that_a_person_reads():
    assert set(LANGUAGES) <= SHIPPED | {"en"}
    # The client is told of the last two; nobody is shown a page of ours for them.
    assert set(SENTENCES) == set(LEVELS) - {"no_account", "unavailable"}
    assert {reason: level for reason, (level, *_) in SENTENCES.items()}.items() <= LEVELS.items()


@pytest.mark.parametrize("row", ["access_denied", "login_required", "token_500", "invalid_client", "nonce"])
def test_the_client_hears_nothing_while_the_person_may_still_choose(upstream, client_, row):
    browser = make_browser()
    page = fail(upstream, client_, ROWS[row][0], browser=browser)
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.REQUESTED
    upstream.control(reset=True)
    again = submit(browser, page, provider="acme")
    answer = go_upstream(upstream, browser, again)
    assert answer.headers["Location"].startswith("/authorize/")
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED


def test_no_alarm_is_raised_for_a_person_who_cancelled(upstream, client_):
    page = fail(upstream, client_, {"authorize_error": "access_denied"})
    soup = BeautifulSoup(page.content, "html.parser")
    assert soup.find(attrs={"role": "alert"}) is None
    assert [button["value"] for button in soup.find_all("button")] == ["demo", "other", "acme"]


def test_who_cancels_the_only_way_in_goes_back_to_the_client(upstream, client_, told, lazyauth):
    """RFC 6749 §4.1.2.1: there is nothing left to choose."""
    lazyauth(PROVIDERS={"acme": upstream.config()})
    browser = make_browser()
    left = get(browser, f"/authorize?{client_.authorize_query()}")
    if left.status_code == 200:
        left = submit(browser, left, provider="acme")
    answer = go_upstream(upstream, browser, left, authorize_error="access_denied")
    assert answer.headers["Location"].startswith(client_.redirect_uri)
    told_client = query_of(answer.headers["Location"])
    assert (told_client["error"], told_client["state"]) == ("access_denied", client_.state)
    assert PendingAuthorization.objects.get().status == Status.FAILED
    assert [line.reason for line in told()] == ["cancelled"]


def test_an_only_way_in_that_is_down_may_be_tried_again(upstream, client_, lazyauth):
    lazyauth(PROVIDERS={"acme": upstream.config()})
    browser = make_browser()
    left = get(browser, f"/authorize?{client_.authorize_query()}")
    if left.status_code == 200:
        left = submit(browser, left, provider="acme")
    page = go_upstream(upstream, browser, left, token_answers=["500"])
    assert sentence_of(page).startswith("Acme does not answer")


def test_a_provider_that_has_to_ask_is_told_to_ask_the_next_time_only(upstream, client_):
    """OpenID Connect Core §3.1.2.1: without `prompt=login` it would answer the same again."""
    browser = make_browser()
    page = fail(upstream, client_, {"authorize_error": "login_required"}, browser=browser)
    # Another way in is not asked for it, and neither is the same one after that.
    assert "prompt" not in query_of(submit(browser, page, provider="other").headers["Location"])
    page = fail(upstream, client_, {"authorize_error": "login_required"}, browser=browser)
    left = submit(browser, page, provider="acme")
    assert query_of(left.headers["Location"])["prompt"] == "login"
    page = go_upstream(upstream, browser, left, authorize_error="server_error")
    assert "prompt" not in query_of(submit(browser, page, provider="acme").headers["Location"])
    assert not any(row.prompt for row in PendingAuthorization.objects.all())


def test_what_a_provider_is_asked_for_adds_to_what_the_client_asked_for(upstream, client_):
    browser = make_browser()
    left = start(browser, client_, provider="acme", prompt="select_account")
    page = go_upstream(upstream, browser, left, authorize_error="login_required")
    left = submit(browser, page, provider="acme")
    assert set(query_of(left.headers["Location"])["prompt"].split()) == {"login", "select_account"}


class Closed(BelievingProvider):
    """Its site lets in no account of this kind."""

    def begin(self, pending, *, state, callback_uri):
        redirect = super().begin(pending, state=state, callback_uri=callback_uri)
        return type(redirect)(f"{redirect.url}&{urlencode({'asked': pending.prompt})}", redirect.private)

    def complete(self, request, pending, private):
        raise IdentityRejected("not_allowed", debug="hd", stage="id_token")


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "This account may not sign in here. Choose another."),
        ("de", "Dieses Konto darf sich hier nicht anmelden. Wählen Sie ein anderes."),
        ("fr", "Ce compte ne peut pas se connecter ici. Choisissez-en un autre."),
    ],
)
def test_an_account_that_is_not_allowed_is_told_so_and_another_is_asked_for(
    client_, settings, told, language, sentence
):
    settings.LAZYAUTH["PROVIDERS"]["corp"] = {"class": f"{__name__}.Closed"}
    browser = browser_in(language)
    left = start(browser, client_, provider="corp")
    state = query_of(left.headers["Location"])["state"]
    page = get(browser, f"/callback/corp?{urlencode({'state': state, 'code': 'ada'})}")
    assert sentence_of(page) == sentence
    [line] = told()
    assert (line.levelno, line.reason, line.stage) == (logging.INFO, "not_allowed", "id_token")
    assert last_words(page) == f"{REFERENCES[language]} {line.reference}"
    left = submit(browser, page, provider="corp")
    assert query_of(left.headers["Location"])["asked"] == "select_account"


def test_a_person_whom_this_site_refuses_is_told_to_the_client_with_a_reference(upstream, client_, told):
    sign_in_upstream(upstream, client_)
    get_user_model().objects.update(is_active=False)
    browser = make_browser()
    answer = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    told_client = query_of(answer.headers["Location"])
    assert told_client["error"] == "access_denied"
    [line] = told()
    assert (line.levelno, line.reason, line.detail) == (logging.INFO, "no_account", "deactivated")
    assert told_client["error_description"] == f"This account may not sign in. Reference {line.reference}."


def test_a_provider_that_cannot_even_begin_has_a_line_too(client_, settings, told):
    settings.LAZYAUTH["PROVIDERS"]["hub"] = {"issuer": "https://hub.example", "client_idd": "x"}
    page = start(make_browser(), client_, provider="hub")
    [line] = told()
    assert (line.levelno, line.reason, line.stage) == (logging.ERROR, "misconfigured", "configuration")
    assert "client_idd" in line.detail
    assert last_words(page) == f"Reference {line.reference}"


def test_a_provider_whose_keys_were_never_there_is_down(upstream, client_, told):
    upstream.control(down=True)
    page = start(make_browser(), client_, provider="acme")
    [line] = told()
    assert (line.levelno, line.reason, line.stage) == (logging.WARNING, "down", "keys")
    assert sentence_of(page).startswith("Acme does not answer")


def test_nobody_is_signed_in_by_an_answer_that_failed(upstream, client_):
    for levers, *_ in ROWS.values():
        upstream.control(reset=True)
        fail(upstream, client_, levers)
    assert not UpstreamToken.objects.exists()
    assert not ProviderIdentity.objects.exists()
    assert not get_user_model().objects.exists()
