"""Without the database, or the cache that has their session, a person reads that the site cannot answer now."""

from __future__ import annotations

import copy
from urllib.parse import urlencode

import pytest
from django.db import connection

from django_lazyauth.models import PendingAuthorization
from tests.support.faults import Fault, injected
from tests.support.journey import come_back, form_of, get, make_browser, post, query_of, sign_in, start
from tests.support.outages import cache_gone, connection_cut, database_gone

from .site import ask, is_consent_page, make_user, signed_in, soup_of

pytestmark = pytest.mark.django_db(transaction=True)


def pressed(browser, page, **values):
    """Return what pressing a button of *page* asks for."""
    action, fields = form_of(page)
    return lambda: post(browser, action, fields | values)


def opened(browser, path):
    return lambda: get(browser, path)


def _before_the_flow(client):
    browser = make_browser()
    yield "authorize", opened(browser, f"/authorize?{client.authorize_query()}")
    yield "choose", pressed(browser, ask(browser, client), provider="demo")
    known = signed_in(make_user("known"))
    page = ask(known, client)
    assert is_consent_page(page)
    yield "consent", pressed(known, page, decision="allow")


def _in_the_flow(client):
    browser = make_browser()
    upstream = start(browser, client)
    pending = PendingAuthorization.objects.latest("created_at")
    yield "flow", opened(browser, f"/authorize/{pending.pk}")
    yield "provider", opened(browser, f"/authorize/{pending.pk}/demo")
    state = query_of(upstream.headers["Location"])["state"]
    yield "callback", opened(browser, f"/callback/demo?{urlencode({'state': state, 'code': 'ada'})}")
    other = make_browser()
    page = get(other, come_back(other, start(other, client), subject="grace").headers["Location"])
    yield "decide", pressed(other, page, decision="allow")


def _of_the_account(client):
    browser = make_browser()
    sign_in(browser, client, subject="ada")
    known = signed_in(make_user("owner"))
    page = get(known, "/account/sessions")
    yield "account", opened(known, "/account/sessions")
    yield "act", pressed(known, page, action="end_all")
    yield "sign in", opened(known, "/account/sign-in")
    yield "return", opened(known, "/account/return")
    yield "end session", opened(known, f"/logout?client_id={client.client_id}")
    yield "confirm", pressed(known, get(known, "/logout"), decision="leave")


def _of_a_device():
    browser = make_browser()
    page = get(browser, "/device")
    yield "device", opened(signed_in(make_user("viewer")), "/device")
    yield "type code", pressed(browser, page, user_code="BCDF-GHJK")


@pytest.fixture
def pages(client_, lazyauth):
    """Name → what opens a page that asks the database."""
    lazyauth(DEVICE_FLOW=True)
    return {
        name: visit
        for steps in (
            _before_the_flow(client_),
            _in_the_flow(client_),
            _of_the_account(client_),
            _of_a_device(),
        )
        for name, visit in steps
    }


def assert_cannot_answer_now(answer):
    assert answer.status_code == 503, (answer.status_code, answer.headers.get("Location"))
    soup = soup_of(answer)
    assert soup.find(attrs={"role": "alert"}).get_text(strip=True) == "This site cannot answer at the moment."
    assert soup.find("form") is None
    assert 0 < int(answer.headers["Retry-After"]) <= 10
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_the_database_every_page_says_that_it_cannot_answer_now(pages):
    """RFC 9110 §15.6.4: a page for a person, with the time when another try makes sense. Then it is served."""
    for visit in pages.values():
        with database_gone():
            assert_cannot_answer_now(visit())
    refused = ("provider", "return", "type code")
    for name, visit in pages.items():
        assert visit().status_code < 400 or name in refused, name


@pytest.mark.skipif(connection.vendor != "postgresql", reason="service: runs on PostgreSQL")
def test_a_page_whose_connection_was_cut_is_an_outage_of_one_request(pages):
    """The database was restarted: the person is asked to come again, and is served."""
    with connection_cut():
        assert_cannot_answer_now(pages["account"]())
    assert pages["account"]().status_code == 200


def greet(request):
    """A context processor of a host, for the head of its own base template."""
    return {"greeting": str(request.user)}


def test_the_page_is_shown_also_where_a_theme_names_who_is_signed_in(settings, client_):
    """A context processor of the host asks the database, too."""
    settings.TEMPLATES = copy.deepcopy(settings.TEMPLATES)
    settings.TEMPLATES[0]["OPTIONS"]["context_processors"].append(f"{__name__}.greet")
    browser = signed_in(make_user("known"))
    assert is_consent_page(ask(browser, client_))
    with database_gone():
        assert_cannot_answer_now(ask(browser, client_))


def test_without_the_database_the_logo_of_a_client_is_asked_for_again():
    """RFC 9110 §15.6.4. A browser keeps no answer of that moment."""
    with database_gone():
        answer = get(make_browser(), f"/client-logos/1/{'a' * 16}")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (503, "no-store")
    assert answer.headers["Retry-After"]


def test_a_fault_of_ours_is_no_outage(client_):
    """The operator gets a report of it, as of every fault: the host's own page for status 500 is shown."""
    browser = make_browser()
    browser.raise_request_exception = False
    with injected(Fault(1, error=RuntimeError)):
        assert ask(browser, client_).status_code == 500


# -- sessions in a cache -----------------------------------------------------------------------------------------


@pytest.fixture
def sessions_in_redis(settings):
    """Sessions in the cache, and in the database behind it; the Redis of the cache does not listen from now on."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

    def gone():
        settings.CACHES = cache_gone()

    return gone


def test_without_the_cache_of_sessions_who_is_signed_in_may_come_again(sessions_in_redis, pages):
    """Threat model, operations: Redis down. Who is not signed in is served, because nothing is read."""
    sessions_in_redis()
    for name in ("consent", "account", "act", "return", "end session", "confirm"):
        assert_cannot_answer_now(pages[name]())
    for name in ("authorize", "choose", "callback", "decide"):
        assert pages[name]().status_code < 400, name
    typed = pages["type code"]()
    assert typed.status_code == 503
    assert typed.headers["Retry-After"]


@pytest.mark.parametrize("path", ["/sessions", "/identities"])
def test_without_the_cache_of_sessions_the_api_of_a_person_is_unavailable(sessions_in_redis, path):
    """RFC 9110 §15.6.4."""
    browser = signed_in(make_user("owner"))
    assert get(browser, path).status_code == 200
    sessions_in_redis()
    answer = get(browser, path)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]
