"""Pushed authorization requests (RFC 9126): what is taken, what is refused, and that nothing is written for it."""

from __future__ import annotations

import base64
import os
import time
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.utils import timezone

from django_lazyauth.authorize import pushed as room
from django_lazyauth.grants import push as endpoint
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import FlowAnswer, PendingAuthorization, Status, UsedProof
from django_lazyauth.upkeep.sweep import sweep
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import (
    OAuthClient,
    come_back,
    consent,
    form_of,
    get,
    make_browser,
    post,
    post_form,
    query_of,
    redeem,
    submit,
)
from tests.support.pushes import PREFIX, link, parameters, push, pushed
from tests.web.site import (
    RecordingProvider,
    answer_to,
    assert_error_page,
    is_choice_page,
    is_consent_page,
    make_user,
    rows,
    self_registered,
    signed_in,
)

pytestmark = pytest.mark.django_db

USED = "invalid_request_uri"


def show(client, request_uri, browser=None, **more):
    return get(browser or make_browser(), link(client.client_id, request_uri, **more))


def assert_refused_by_page(answer):
    """Spec 8.3: a page, and no redirect."""
    assert USED in assert_error_page(answer)


def assert_error(answer, error, status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.content
    assert answer.headers["Cache-Control"] == "no-store"


def finish(browser, client, page, subject="ada"):
    """Go the whole way from the first page; return the tokens."""
    answer = come_back(browser, submit(browser, page, provider="demo"), subject=subject)
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    return redeem(client, answer_to(client, answer)["code"])


# -- what is taken -------------------------------------------------------------------------------------------


def test_a_pushed_request_becomes_tokens(confidential):
    """RFC 9126 §2.2, §4."""
    answer = push(confidential)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"request_uri", "expires_in"}
    assert body["expires_in"] == 90
    assert body["request_uri"].startswith(PREFIX)
    assert answer.headers["Cache-Control"] == "no-store"
    browser = make_browser()
    page = show(confidential, body["request_uri"], browser)
    assert is_choice_page(page)
    tokens = finish(browser, confidential, page)
    assert tokens.status_code == 200
    assert "email" in tokens.json()["scope"]


def test_a_public_client_pushes_too(client_):
    """Spec 8.3: client as at the token endpoint."""
    assert is_choice_page(show(client_, pushed(client_)))


def test_a_client_without_a_client_id_in_the_form_pushes(confidential):
    """RFC 6749 §2.3.1: who comes with Basic need not name itself twice."""
    basic = base64.b64encode(f"{confidential.client_id}:{CONFIDENTIAL_SECRET}".encode()).decode()
    form = parameters(confidential, client_id=None)
    answer = post_form(make_browser(), "/par", form, headers={"authorization": f"Basic {basic}"})
    assert answer.status_code == 201
    assert is_choice_page(show(confidential, answer.json()["request_uri"]))


def test_a_client_with_a_key_pushes_and_its_assertion_is_used_up(db):
    """RFC 9126 §2, I25."""
    register(client_id="keyed-client", client_type="confidential")
    key, client = ClientKey(), OAuthClient("keyed-client")
    give_keys(client.client_id, key)
    form = key.form(client.client_id)
    assert is_choice_page(show(client, pushed(client, form)))
    assert_error(push(client, form), "invalid_client", 401)
    assert_error(push(client), "invalid_client", 401)
    assert UsedProof.objects.count() == 1


def test_several_resources_are_carried(client_):
    """RFC 8707 §2."""
    resources = ["https://a.example/mcp", "https://b.example/mcp"]
    browser = make_browser()
    submit(browser, show(client_, pushed(client_, resource=resources), browser), provider="demo")
    assert PendingAuthorization.objects.get().resource == resources


def test_i16_a_push_and_a_page_write_nothing(client_, confidential):
    before = rows()
    for number in range(20):
        request_uri = pushed(confidential, state=f"state-{number}")
        show(confidential, request_uri)
        push(confidential, client_secret="wrong")
        pushed(client_)
    assert rows() == before


def test_i23_the_page_may_be_reloaded(client_):
    """Nothing is used before the person acts: reloads, other programs and other browsers see the same page."""
    request_uri, browser = pushed(client_), make_browser()
    make_browser().head(link(client_.client_id, request_uri), secure=True)
    assert all(is_choice_page(show(client_, request_uri)) for _ in range(3))
    pages = [show(client_, request_uri, browser) for _ in range(2)]
    assert finish(browser, client_, pages[-1]).status_code == 200


# -- once ----------------------------------------------------------------------------------------------------


def test_of_two_browsers_one_gets_a_flow(client_):
    """RFC 9126 §4: a request_uri is good once."""
    request_uri, one, other = pushed(client_), make_browser(), make_browser()
    pages = show(client_, request_uri, one), show(client_, request_uri, other)
    assert submit(one, pages[0], provider="demo").status_code == 303
    assert_refused_by_page(submit(other, pages[1], provider="demo"))
    assert_refused_by_page(show(client_, request_uri))
    assert PendingAuthorization.objects.count() == 1


def test_a_second_tab_of_the_same_browser_is_another_flow(client_):
    request_uri, browser = pushed(client_), make_browser()
    first, second = show(client_, request_uri, browser), show(client_, request_uri, browser)
    assert submit(browser, first, provider="demo").status_code == 303
    assert_refused_by_page(submit(browser, second, provider="demo"))


def test_i23_a_double_click_gets_the_same_answer(client_):
    request_uri, browser = pushed(client_), make_browser()
    page = show(client_, request_uri, browser)
    first, second = (submit(browser, page, provider="demo") for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert PendingAuthorization.objects.count() == 1


def test_who_goes_back_to_the_link_goes_on_with_their_flow(client_):
    """The Back button asks for the same address again. It is the same flow, and the person may choose again."""
    request_uri, browser = pushed(client_), make_browser()
    submit(browser, show(client_, request_uri, browser), provider="demo")
    again = show(client_, request_uri, browser)
    page = get(browser, again.headers["Location"])
    assert is_choice_page(page)
    assert finish(browser, client_, page).status_code == 200
    assert PendingAuthorization.objects.count() == 1


def test_it_stays_used_when_the_flow_failed_or_was_swept(client_):
    """What keeps a request from being used twice is deleted when no page can bring it any more."""
    request_uri, one, other = pushed(client_), make_browser(), make_browser()
    page = show(client_, request_uri, other)
    submit(one, show(client_, request_uri, one), provider="demo")
    now = timezone.now()
    PendingAuthorization.objects.update(status=Status.FAILED, state_digest=None, expires_at=now)
    list(sweep(now=now + timedelta(minutes=16)))
    assert PendingAuthorization.objects.counted().exists(), "it is no row of the log, which has an end"
    assert_refused_by_page(submit(other, page, provider="demo"))
    list(sweep(now=now + timedelta(minutes=17)))
    assert not PendingAuthorization.objects.counted().exists()


def test_a_page_that_is_shown_anew_does_not_last_longer(client_, lazyauth, monkeypatch):
    """A stranger's browser could have it shown for ever, until the row that says that it was used is gone."""
    lazyauth(SSO_ALLOWED_DOMAINS=["corp.example"])
    request_uri, browser = pushed(client_), make_browser()
    page = show(client_, request_uri, browser)
    page = submit(browser, page, provider="sso", domain="nobody.example")
    assert is_choice_page(page)
    later = timezone.now() + timedelta(minutes=16, seconds=40)
    monkeypatch.setattr("django_lazyauth.authorize.signed_request.timezone.now", lambda: later)
    assert_refused_by_page(submit(browser, page, provider="demo"))


@pytest.fixture
def known(client_):
    """A browser in which somebody is signed in who allowed the client everything."""
    user = make_user()
    browser = signed_in(user)
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    assert is_consent_page(page)
    assert submit(browser, page, decision="allow").status_code == 303
    return browser


def test_a_silent_answer_uses_it_up(known, client_):
    """Spec 8.3. The same request of the same browser gets the same answer (I23), and nobody else one."""
    before = PendingAuthorization.objects.count()
    request_uri = pushed(client_)
    answers = [show(client_, request_uri, known) for _ in range(2)]
    code = answer_to(client_, answers[0])["code"]
    assert answer_to(client_, answers[1])["code"] == code
    assert PendingAuthorization.objects.count() == before + 1
    other = signed_in(make_user("bob"))
    assert_refused_by_page(show(client_, request_uri, other))
    assert_refused_by_page(show(client_, request_uri))
    assert redeem(client_, code).status_code == 200


def test_a_silent_answer_that_was_redeemed_is_not_given_again(known, client_):
    """I2: a client that is given a spent code may redeem it, and that ends the session."""
    request_uri = pushed(client_)
    code = answer_to(client_, show(client_, request_uri, known))["code"]
    assert redeem(client_, code).status_code == 200
    again = show(client_, request_uri, known)
    assert again.status_code == 200
    assert "Location" not in again.headers


def test_a_consent_uses_it_up(client_):
    user, request_uri = make_user(), pushed(client_)
    one, other = signed_in(user), signed_in(user)
    pages = show(client_, request_uri, one), show(client_, request_uri, other)
    assert all(map(is_consent_page, pages))
    assert answer_to(client_, submit(one, pages[0], decision="deny"))["error"] == "access_denied"
    assert_refused_by_page(submit(other, pages[1], decision="allow"))


def test_who_chooses_to_go_on_as_they_are_clicks_twice(client_):
    user = make_user()
    browser = signed_in(user)
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    submit(browser, page, decision="allow")
    page = show(client_, pushed(client_, prompt="select_account"), browser)
    action, fields = form_of(page)
    answers = [post(browser, action, fields | {"account": "current"}) for _ in range(2)]
    assert answer_to(client_, answers[0]) == answer_to(client_, answers[1])


@pytest.fixture
def only_one(lazyauth):
    """The only way in: people are sent there without a page."""
    RecordingProvider.completed.clear()
    lazyauth(PROVIDERS={"demo": {"class": "tests.web.site.RecordingProvider"}})


@pytest.mark.django_db(transaction=True)
def test_i23_a_link_that_leads_straight_to_a_provider_is_not_used_up_by_following_it(only_one, client_):
    """A program that follows links uses nothing up. The first who comes back does, and the upstream is asked once."""
    request_uri, one, other = pushed(client_), make_browser(), make_browser()
    away = show(client_, request_uri, one), show(client_, request_uri, other)
    assert [answer.status_code for answer in away] == [303, 303]
    assert not PendingAuthorization.objects.filter(pushed_digest__isnull=False).exists()
    answer = consent(other, come_back(other, away[1], subject="ada"))
    assert_refused_by_page(come_back(one, away[0], subject="bob"))
    assert RecordingProvider.completed == [("demo", "ada")], "nothing was redeemed there for the other"
    assert redeem(client_, answer_to(client_, answer)["code"]).status_code == 200
    assert PendingAuthorization.objects.filter(pushed_digest__isnull=False).count() == 1
    assert_refused_by_page(show(client_, request_uri))


def test_a_flow_that_was_sent_straight_on_and_chose_again_is_the_same(only_one, client_):
    """The person refuses at the provider, chooses it once more, and comes back."""
    browser = make_browser()
    away = show(client_, pushed(client_), browser)
    state = query_of(away.headers["Location"])["state"]
    PendingAuthorization.objects.filter(pk=PendingAuthorization.objects.by_state(state).pk).update(
        expires_at=timezone.now() + timedelta(hours=1)
    )
    pending = PendingAuthorization.objects.get()
    page = get(browser, f"/authorize/{pending.pk}")
    assert is_choice_page(page)
    assert finish(browser, client_, page).status_code == 200
    pending.refresh_from_db()
    assert pending.pushed_digest == pending.request_digest


# -- whose, how long, unchanged ------------------------------------------------------------------------------


def test_another_client_cannot_use_it(client_, confidential):
    """RFC 9126 §2.2: bound to the client that pushed it."""
    assert_refused_by_page(show(client_, pushed(confidential)))


def test_it_expires(client_, monkeypatch):
    """RFC 9126 §2.2."""
    request_uri, now = pushed(client_), time.time()
    monkeypatch.setattr(room.time, "time", lambda: now + 89)
    assert is_choice_page(show(client_, request_uri))
    monkeypatch.setattr(room.time, "time", lambda: now + 91)
    assert_refused_by_page(show(client_, request_uri))


CHANGES = {
    "first character": lambda text: ("B" if text[0] == "A" else "A") + text[1:],
    "middle": lambda text: text[:100] + ("B" if text[100] == "A" else "A") + text[101:],
    "last character": lambda text: text[:-1] + ("B" if text[-1] == "A" else "A"),
    "unused bits": lambda text: text[:-1] + chr(ord(text[-1]) + 1),
    "shorter": lambda text: text[:-4],
    "longer": lambda text: text + "AAAA",
    "padded": lambda text: text + "=",
    "empty": lambda text: "",
    "standard alphabet": lambda text: text.replace("_", "/").replace("-", "+") + "/",
    "another site's": lambda text: base64.urlsafe_b64encode(os.urandom(300)).decode(),
    "not ASCII": lambda text: "é" * 40,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_altered_one_is_refused(client_, change):
    """I25: every character is authenticated, and one seal has one spelling, so none is good twice."""
    request_uri = pushed(client_)
    body = request_uri.removeprefix(PREFIX)
    assert_refused_by_page(show(client_, PREFIX + change(body)))


def test_one_that_was_sealed_with_a_former_key_opens(client_, lazyauth):
    """``VAULT_KEYS`` are rotated: the first seals, all open."""
    old, new = (f"k{n}:{base64.b64encode(os.urandom(32)).decode()}" for n in range(2))
    lazyauth(VAULT_KEYS=[old])
    request_uri = pushed(client_)
    lazyauth(VAULT_KEYS=[new, old])
    assert is_choice_page(show(client_, request_uri))
    lazyauth(VAULT_KEYS=[new])
    assert_refused_by_page(show(client_, request_uri))


def test_it_shows_nothing_of_what_was_pushed(client_):
    """I13: proxies and histories see the URN."""
    request_uri = pushed(client_, login_hint="ada@people.example")
    raw = base64.urlsafe_b64decode(request_uri.removeprefix(PREFIX) + "==")
    assert client_.state.encode() not in raw
    assert b"people" not in raw


def test_a_client_that_was_changed_since_is_judged_anew(client_):
    from tests.web.site import change_client

    request_uri = pushed(client_)
    change_client(client_, redirect_uris="https://client.example/elsewhere")
    assert_error_page(show(client_, request_uri))
    change_client(client_, redirect_uris=client_.redirect_uri, authorization_grant_type="client-credentials")
    assert answer_to(client_, show(client_, request_uri))["error"] == "unauthorized_client"


# -- beside it -----------------------------------------------------------------------------------------------

SMUGGLED = {
    "redirect_uri": "https://evil.test/cb",
    "scope": "openid admin",
    "state": "another",
    "code_challenge": "b" * 43,
    "prompt": "none",
    "response_type": "token",
    "resource": ["https://evil.test/", "x"],
    "request": "ey.ey.ey",
    "nonce": "another",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_beside_it_only_the_client_id_is_read(client_, name):
    """RFC 9126 §4, RFC 9101 §5: nobody adds to what the client pushed."""
    browser = make_browser()
    page = show(client_, pushed(client_), browser, **{name: SMUGGLED[name]})
    assert is_choice_page(page)
    submit(browser, page, provider="demo")
    pending = PendingAuthorization.objects.get()
    assert (pending.redirect_uri, pending.state) == (client_.redirect_uri, client_.state)
    assert (pending.scope, pending.code_challenge) == (client_.scope, client_.challenge)
    assert (pending.resource, pending.nonce, pending.prompt) == ([], "client-nonce", "")


@pytest.mark.parametrize(
    "query",
    [
        {"request_uri": ["{}", "{}"], "client_id": "public-client"},
        {"request_uri": "{}", "client_id": ["public-client", "public-client"]},
        {"request_uri": "{}"},
        {"request_uri": "{}", "client_id": "nobody"},
        {"request_uri": ["{}", "https://client.example/r"], "client_id": "public-client"},
    ],
    ids=["twice", "two clients", "no client", "unknown client", "beside another"],
)
def test_what_is_ambiguous_is_refused_by_a_page(client_, query):
    """RFC 6749 §3.1: a parameter stands once."""
    request_uri = pushed(client_)
    sent = {
        name: [one.format(request_uri) for one in ([value] if isinstance(value, str) else value)]
        for name, value in query.items()
    }
    assert_error_page(get(make_browser(), f"/authorize?{urlencode(sent, doseq=True)}"))


def test_another_kind_of_request_uri_is_not_fetched(client_, opened):
    """Spec 8.3: nothing that a URL names is fetched. The address is public, so no other rule keeps a fetch away."""
    query = client_.authorize_query(request_uri="https://9.9.9.9/request.jwt")
    answer = answer_to(client_, get(make_browser(), f"/authorize?{query}"))
    assert (answer["error"], opened) == ("request_uri_not_supported", [])


def test_a_form_post_with_it_is_taken_too(client_):
    """OpenID Connect Core §3.1.2.1: POST becomes the same GET."""
    form = {"client_id": client_.client_id, "request_uri": pushed(client_)}
    browser = make_browser()
    answer = post_form(browser, "/authorize", form)
    assert is_choice_page(get(browser, answer.headers["Location"]))


# -- what is refused -----------------------------------------------------------------------------------------

REFUSED = {
    "request_uri": ({"request_uri": f"{PREFIX}x"}, "invalid_request"),
    "another request_uri": ({"request_uri": "https://client.example/r"}, "invalid_request"),
    "redirect_uri": ({"redirect_uri": "https://evil.test/cb"}, "invalid_request"),
    "no PKCE": ({"code_challenge": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "response_type": ({"response_type": "token"}, "unsupported_response_type"),
    "scope": ({"scope": "openid nothing-like-it"}, "invalid_scope"),
    "resource": ({"resource": "not a URI"}, "invalid_target"),
    "prompt": ({"prompt": "none login"}, "invalid_request"),
    "request": ({"request": "ey.ey.ey"}, "request_not_supported"),
    "registration": ({"registration": "{}"}, "registration_not_supported"),
    "too long": ({"state": "s" * 2500}, "invalid_request"),
    "a long value": ({"login_hint": "l" * 9000}, "invalid_request"),
    "another client_id": ({"client_id": "public-client"}, "invalid_client"),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED)
def test_what_the_authorization_endpoint_would_refuse_is_refused_when_it_is_pushed(
    confidential, client_, changes, error
):
    """RFC 9126 §2.3: JSON, with the reason."""
    answer = push(confidential, **changes)
    assert_error(answer, error, 401 if error == "invalid_client" else 400)


def test_a_parameter_twice_is_refused(client_):
    body = client_.authorize_query() + "&state=another"
    answer = make_browser().post("/par", body, content_type="application/x-www-form-urlencoded", secure=True)
    assert_error(answer, "invalid_request")


@pytest.mark.parametrize(
    ("form", "error", "status"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 401),
        ({"client_secret": None}, "invalid_client", 401),
        ({"client_id": "nobody", "client_secret": None}, "invalid_client", 401),
        ({"client_id": None, "client_secret": None}, "invalid_client", 401),
        ({"client_assertion": "ey.ey.ey", "client_assertion_type": "x"}, "invalid_request", 400),
    ],
    ids=["wrong secret", "no secret", "unknown client", "no client", "two methods"],
)
def test_who_fails_to_authenticate_pushes_nothing(confidential, form, error, status):
    """RFC 9126 §2: as at the token endpoint."""
    assert_error(push(confidential, **form), error, status)


def test_a_disabled_client_pushes_nothing(confidential):
    from django_lazyauth.models import ClientRegistration, ClientSource
    from tests.web.site import get_application_model

    request_uri = pushed(confidential)
    row = get_application_model().objects.get(client_id=confidential.client_id)
    ClientRegistration.objects.create(
        client=row, source=ClientSource.ELSEWHERE, disabled_at=timezone.now(), metadata={}
    )
    assert_error(push(confidential), "invalid_client", 401)
    assert_error_page(show(confidential, request_uri))


@pytest.mark.parametrize("length", [64 * 1024 + 1, 3 * 1024 * 1024])
def test_a_body_that_is_too_long_is_413(client_, length):
    """RFC 9126 §2.3."""
    body = "state=" + "s" * (length - 6)
    answer = make_browser().post("/par", body, content_type="application/x-www-form-urlencoded", secure=True)
    assert_error(answer, "invalid_request", 413)


def test_another_method_and_another_body_are_refused(client_):
    """RFC 9126 §2.3: 405."""
    answer = get(make_browser(), "/par")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    answer = make_browser().post("/par", "{}", content_type="application/json", secure=True)
    assert_error(answer, "invalid_request")


def test_the_longest_request_fits_into_a_request_line(db):
    """gunicorn takes 4,094 octets. Random characters cannot be compressed, and the client id is a long one."""
    client_id = "https://client.example/" + "c" * (255 - 23)
    register(client_id=client_id, redirect_uris="https://client.example/cb")
    client = OAuthClient(client_id)
    rest = room.MAX_LENGTH - len(urlencode(parameters(client, state=None))) - len("&state=")
    state = base64.urlsafe_b64encode(os.urandom(rest)).decode()[:rest]
    request_uri = pushed(client, state=state)
    assert len(f"GET {link(client_id, request_uri)} HTTP/1.1") <= 4094
    assert is_choice_page(show(client, request_uri))
    assert_error(push(client, state=state + "x"), "invalid_request")


# -- how often -----------------------------------------------------------------------------------------------


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(
        endpoint, "PUSHES", Throttle("pushed-requests", 3, timedelta(minutes=5), fails_open=True)
    )


def test_a_network_that_proves_nothing_pushes_so_often(three, client_, confidential):
    """Spec 8.3: 429. A client that proves itself may serve thousands of people from one address."""
    for _ in range(3):
        pushed(client_)
    answer = push(client_)
    assert_error(answer, "temporarily_unavailable", 429)
    assert int(answer.headers["Retry-After"]) > 0
    for _ in range(5):
        pushed(confidential)


def test_a_client_that_registered_itself_pushes_so_often(three, db):
    client = self_registered(
        client_type="confidential", client_secret=CONFIDENTIAL_SECRET, hash_client_secret=True
    )
    client.client_secret = CONFIDENTIAL_SECRET
    for number in range(3):
        assert push(client, browser=make_browser(), state=str(number)).status_code == 201
    assert_error(push(client), "temporarily_unavailable", 429)


def test_a_stranger_with_wrong_secrets_keeps_nobody_out(three, confidential):
    for _ in range(5):
        push(confidential, client_secret="wrong")
    pushed(confidential)


def test_without_a_cache_requests_are_pushed(client_, monkeypatch):
    """A push writes nothing, so no limit protects anything that another one does not."""

    def broken(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(type(cache._connections["default"]), "incr", broken)
    pushed(client_)


# -- who has to push -----------------------------------------------------------------------------------------


def test_a_site_may_want_every_request_to_be_pushed(client_, lazyauth):
    """RFC 9126 §5."""
    lazyauth(REQUIRE_PAR=True)
    answer = answer_to(client_, get(make_browser(), f"/authorize?{client_.authorize_query()}"))
    assert answer["error"] == "invalid_request"
    assert is_choice_page(show(client_, pushed(client_)))


def test_a_client_may_want_its_requests_to_be_pushed(client_):
    """RFC 9126 §6."""
    give_keys(client_.client_id, require_pushed_authorization_requests=True)
    answer = answer_to(client_, get(make_browser(), f"/authorize?{client_.authorize_query()}"))
    assert answer["error"] == "invalid_request"
    assert is_choice_page(show(client_, pushed(client_)))


def test_the_pages_of_the_site_itself_need_no_push(lazyauth, db):
    """Nobody asks on behalf of a client there."""
    lazyauth(REQUIRE_PAR=True)
    browser = signed_in(make_user())
    assert get(browser, "/account/sessions").status_code == 200


# -- scripts -------------------------------------------------------------------------------------------------


def test_scripts_of_the_clients_own_origin_may_read_the_answer(client_):
    """Spec 8.0: CORS as the token endpoint."""
    for origin, allowed in (
        ("https://client.example", "https://client.example"),
        ("https://evil.test", None),
    ):
        answer = post_form(make_browser(), "/par", parameters(client_), headers={"origin": origin})
        assert answer.status_code == 201
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert not FlowAnswer.objects.exists()
