"""Spec 7, Authorize: who may ask for what, and where the answer goes."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import quote, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_lazyauth.models import Consent, PendingAuthorization, Status
from django_lazyauth.sessions.browser import BEGAN_KEY
from tests.support.journey import (
    ISSUER,
    come_back,
    consent,
    form_of,
    get,
    make_browser,
    query_of,
    redeem,
    sign_in,
    start,
    submit,
)

from .site import (
    answer_to,
    ask,
    ask_raw,
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

HOUR = timedelta(hours=1)


def remembered(client, user, **kwargs):
    """Return a browser of *user*, who has allowed *client* everything it asks for."""
    browser = signed_in(user, **kwargs)
    page = ask(browser, client)
    assert is_consent_page(page)
    assert "code" in answer_to(client, submit(browser, page, decision="allow"))
    return browser


# -- redirect URIs ---------------------------------------------------------------------------------------


def test_the_registered_redirect_uri_gets_the_code(client_):
    """RFC 6749 §4.1.2; what every refusal below is the opposite of."""
    assert sign_in(make_browser(), client_).startswith("https://client.example/cb?code=")


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://client.example/cb?x=1",
        "https://client.example/cb?",
        "https://client.example/cb#",
        "https://client.example/cb#fragment",
        "https://client.example/cb/",
        "https://client.example//cb",
        "https://client.example/CB",
        "https://client.example/c",
        "https://client.example/cb2",
        "https://client.example/./cb",
        "https://client.example/x/../cb",
        "https://client.example/%63b",
        "https://client.example/cb%00",
        "https://client.example/cb%23",
        "https://CLIENT.example/cb",
        "HTTPS://client.example/cb",
        "http://client.example/cb",
        "https://client.example:443/cb",
        "https://client.example:8443/cb",
        "https://client.example./cb",
        "https://client%2eexample/cb",
        "https://client.example.evil.test/cb",
        "https://evil.test/https://client.example/cb",
        "https://evilclient.example/cb",
        "https://sub.client.example/cb",
        "https://user@client.example/cb",
        "https://user:password@client.example/cb",
        "https://client.example@evil.test/cb",
        "https://client.example\\@evil.test/cb",
        "https://evil.test\\.client.example/cb",
        "https://client.example／cb",
        "https://clıent.example/cb",
        "//client.example/cb",
        "/cb",
        "cb",
        "https:client.example/cb",
        "https:/client.example/cb",
        "https:///client.example/cb",
        " https://client.example/cb",
        "https://client.example/cb ",
        "https://client.example/cb\n",
        "https://client.example/cb\r\nSet-Cookie: a=b",
        "https://client.example/cb\x00",
        "https://client.example/cb https://evil.test/cb",
        "https://[",
        "http://[",
        "https://[::1/cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)//https://client.example/cb",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://client.example/cb",
        "urn:ietf:wg:oauth:2.0:oob",
        "*",
        "https://*",
        "x" * 3000,
    ],
)
def test_a_redirect_uri_that_is_not_the_registered_string_gets_a_page_and_no_redirect(client_, redirect_uri):
    """RFC 9700 §4.1.3."""
    before = rows()
    words = assert_error_page(ask(make_browser(), client_, redirect_uri=redirect_uri))
    assert "evil.test" not in words
    assert rows() == before


@pytest.mark.parametrize(
    "registered",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///tmp/x",
        "http://client.example/cb",
        "http://localhost.evil.test/cb",
        "https://user@client.example/cb",
        "https://client.example/cb#fragment",
        "//client.example/cb",
        "/cb",
        "https://",
        "https:///cb",
        "https://[",
        "https://client.example:port/cb",
        "https://client.example:99999/cb",
        "myapp:/cb",
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_an_unsafe_redirect_uri_is_refused_even_where_a_client_has_it_registered(db, registered, named):
    """RFC 9700 §2.1; with one registered, it is the default of a request that names none."""
    client = register_client(redirect_uris=registered)
    browser = signed_in(make_user())
    for changes in ({}, {"response_type": "token"}):
        response = ask(browser, client, redirect_uri=registered if named else None, **changes)
        assert_error_page(response)
        assert "The registered redirect URI cannot be used." in response.content.decode()


def test_a_request_without_a_redirect_uri_goes_to_the_only_one_registered(client_):
    """RFC 6749 §3.1.2.3."""
    browser = make_browser()
    answer = come_back(browser, start(browser, client_, redirect_uri=None), subject="ada")
    assert "code" in answer_to(client_, consent(browser, answer))


def test_a_request_without_a_redirect_uri_is_refused_where_several_are_registered(client_):
    """RFC 6749 §3.1.2.3."""
    change_client(client_, redirect_uris=f"{client_.redirect_uri} https://client.example/other")
    page = ask(make_browser(), client_, redirect_uri=None)
    assert_error_page(page)
    assert "Missing redirect URI." in page.content.decode()
    change_client(client_, redirect_uris="")
    assert_error_page(ask(make_browser(), client_, redirect_uri=None))


def test_parameters_are_added_to_the_query_of_a_registered_redirect_uri(db):
    """RFC 6749 §3.1.2."""
    client = register_client(redirect_uris="https://client.example/cb?tenant=a%2Fb")
    location = sign_in(make_browser(), client)
    assert location.startswith("https://client.example/cb?tenant=a%2Fb&code=")
    assert query_of(location)["tenant"] == "a/b"


@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:53211/cb"),
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1/cb"),
        ("http://[::1]/cb", "http://[::1]:53211/cb"),
        ("http://localhost:1/cb", "http://localhost:53211/cb"),
    ],
)
def test_the_port_of_a_loopback_redirect_is_the_clients_choice(db, registered, requested):
    """RFC 8252 §7.3."""
    client = register_client(redirect_uris=registered)
    client.redirect_uri = requested
    location = sign_in(make_browser(), client)
    assert location.startswith(f"{requested}?code=")
    assert redeem(client, query_of(location)["code"]).status_code == 200


@pytest.mark.parametrize(
    "requested",
    [
        "http://localhost.evil.test/cb",
        "http://localhost.evil.test:53211/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://127.0.0.1:53211@evil.test/cb",
        "http://user@127.0.0.1:53211/cb",
        "http://127.0.0.1:53211/other",
        "http://127.0.0.1:53211/cb?x=1",
        "http://127.0.0.1:53211/cb#x",
        "http://127.0.0.1:53211",
        "http://127.0.0.1:port/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:123456/cb",
        "http://127.0.0.2:53211/cb",
        "http://127.1:53211/cb",
        "http://2130706433/cb",
        "http://0.0.0.0/cb",
        "http://localhost:53211/cb",
        "http://[::1]:53211/cb",
        "https://127.0.0.1:53211/cb",
        "http://127.0.0.1\\.evil.test/cb",
        "http://10.0.0.1/cb",
    ],
)
def test_only_the_port_of_a_loopback_redirect_may_differ(db, requested):
    """RFC 8252 §7.3, §8.3."""
    client = register_client(redirect_uris="http://127.0.0.1:8000/cb")
    assert_error_page(ask(make_browser(), client, redirect_uri=requested))


def test_an_app_with_a_private_use_scheme_gets_its_code(db):
    """RFC 8252 §7.1."""
    client = register_client(redirect_uris="com.example.app:/oauth2redirect")
    location = sign_in(make_browser(), client)
    assert location.startswith("com.example.app:/oauth2redirect?code=")
    answer = redeem(client, query_of(location)["code"])
    assert answer.status_code == 200, answer.content


# -- who asks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client_id", ["unknown", "PUBLIC-CLIENT", "public-client ", "", None, "x\x00", "x" * 300]
)
def test_an_unknown_client_gets_a_page_and_no_redirect(client_, client_id):
    """RFC 6749 §4.1.2.1."""
    assert_error_page(ask(make_browser(), client_, client_id=client_id))


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_uri_gets_a_page_and_no_redirect(client_, name):
    """RFC 6749 §3.1: no parameter more than once."""
    value = getattr(client_, name)
    for values in ([value, value], [value, "https://evil.test/cb"], ["https://evil.test/cb", value]):
        assert_error_page(ask(make_browser(), client_, **{name: values}))


@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
    ],
)
def test_any_other_repeated_parameter_is_an_error_that_the_client_is_told(client_, name):
    """RFC 6749 §3.1, §4.1.2.1."""
    once = {
        "response_type": "code",
        "scope": "openid",
        "state": "s",
        "nonce": "n",
        "code_challenge": client_.challenge,
        "code_challenge_method": "S256",
        "prompt": "login",
        "max_age": "1",
    }[name]
    answer = answer_to(client_, ask(make_browser(), client_, **{name: [once, once]}))
    assert answer["error"] == "invalid_request"
    assert answer.get("state") == (None if name == "state" else client_.state)


def test_a_resource_may_be_repeated(client_):
    """RFC 8707 §2."""
    resources = ["https://api.example/a", "https://api.example/b", "https://api.example/a"]
    start(make_browser(), client_, resource=resources)
    assert PendingAuthorization.objects.get().resource == resources[:2]


@pytest.mark.parametrize(
    "resource",
    ["not-a-uri", "urn:x:y", "https://api.example/#f", "https://u@api.example", "http://[", "/a"],
)
def test_a_resource_that_is_no_absolute_uri_with_a_host_is_refused(client_, resource):
    """RFC 8707 §2."""
    answer = answer_to(client_, ask(make_browser(), client_, resource=resource))
    assert (answer["error"], "absolute URI" in answer["error_description"]) == ("invalid_target", True)


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ([f"https://api.example/{number}" for number in range(11)], "10 resources"),
        (["https://api.example/" + "x" * 1024], "1024 characters"),
        ([f"https://api.example/{number}/{'x' * 1000}" for number in range(5)], "4096"),
    ],
    ids=["too many", "too long", "too long together"],
)
def test_more_resources_than_a_token_can_carry_are_refused_and_the_client_is_told_so(
    client_, resources, reason
):
    """I16: what a stranger can make us keep is bounded."""
    answer = answer_to(client_, ask(make_browser(), client_, resource=resources))
    assert (answer["error"], reason in answer["error_description"]) == ("invalid_target", True), answer


# -- PKCE ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "S512"},
        {"code_challenge": "short"},
        {"code_challenge": "a" * 42},
        {"code_challenge": "a" * 44},
        {"code_challenge": "a" * 129},
        {"code_challenge": "a" * 42 + "="},
        {"code_challenge": "a" * 42 + "+"},
        {"code_challenge": "a" * 43 + "\n"},
        {"code_challenge": "ä" * 43},
    ],
)
@pytest.mark.parametrize("client_type", ["public", "confidential"])
def test_every_client_needs_pkce_with_s256(db, client_type, changes):
    """RFC 9700 §2.1.1, OAuth 2.1 §7.5.2."""
    client = register_client(client_type=client_type)
    answer = answer_to(client, ask(make_browser(), client, **changes))
    assert (answer["error"], answer["state"]) == ("invalid_request", client.state)


# -- what is asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response_type",
    [
        "token",
        "id_token",
        "id_token token",
        "code token",
        "code id_token",
        "code id_token token",
        "token code",
        "none",
        "CODE",
        "code code",
        "code\x0b",
        "device_code",
    ],
)
@pytest.mark.parametrize("grant", ["authorization-code", "implicit", "openid-hybrid"])
def test_no_response_type_but_code_is_served_whatever_the_client_is_registered_for(db, grant, response_type):
    """OAuth 2.1 §10.1; spec 1: lazy and implicit cannot meet."""
    client = register_client(authorization_grant_type=grant, client_type="confidential", algorithm="RS256")
    answer = answer_to(client, ask(signed_in(make_user()), client, response_type=response_type))
    assert (answer["error"], answer["state"]) == ("unsupported_response_type", client.state)


def test_a_missing_response_type_is_an_error_that_the_client_is_told(client_):
    """RFC 6749 §4.1.2.1."""
    for nothing in (None, ""):
        answer = answer_to(client_, ask(make_browser(), client_, response_type=nothing))
        assert (answer["error"], answer["state"]) == ("invalid_request", client_.state)


def test_a_client_of_another_grant_gets_no_code(db):
    """RFC 6749 §4.1.2.1."""
    client = register_client(authorization_grant_type="client-credentials", client_type="confidential")
    assert answer_to(client, ask(make_browser(), client))["error"] == "unauthorized_client"


@pytest.mark.parametrize("name", ["request", "request_uri", "registration"])
@pytest.mark.parametrize("value", ["eyJhbGciOiJub25lIn0.e30.", "https://client.example/request.jwt", "{}"])
def test_request_objects_and_registration_are_refused_by_their_own_error(client_, name, value):
    """OpenID Connect Core §3.1.2.6."""
    answer = answer_to(client_, ask(make_browser(), client_, **{name: value}))
    assert (answer["error"], answer["state"]) == (f"{name}_not_supported", client_.state)


def test_a_request_object_is_named_as_the_problem_even_where_nothing_else_is_sent(client_):
    """RFC 9101 §5: such a request carries only the client."""
    query = urlencode({"client_id": client_.client_id, "request_uri": "https://client.example/r"})
    assert answer_to(client_, ask_raw(make_browser(), query))["error"] == "request_uri_not_supported"
    change_client(client_, redirect_uris=f"{client_.redirect_uri} https://client.example/other")
    page = ask_raw(make_browser(), query)
    assert_error_page(page)
    assert "The request_uri parameter is not supported." in page.content.decode()


@pytest.mark.parametrize("response_mode", ["fragment", "jwt", "query.jwt", "web_message", "QUERY"])
def test_answers_come_in_no_way_that_is_not_named(client_, response_mode):
    """OAuth 2.0 Multiple Response Types §2.1."""
    answer = answer_to(client_, ask(make_browser(), client_, response_mode=response_mode))
    assert answer["error"] == "invalid_request"
    assert is_choice_page(ask(make_browser(), client_, response_mode="query"))


def test_a_parameter_without_a_value_counts_as_omitted(client_):
    """RFC 6749 §3.1."""
    optional = ("redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "request", "response_mode")
    browser = signed_in(make_user())
    page = ask(browser, client_, **dict.fromkeys(optional, ""))
    assert set(answer_to(client_, submit(browser, page, decision="allow"))) == {"code", "iss"}


def test_scopes_of_a_request_that_names_none_are_the_defaults(client_, lazyauth):
    """RFC 6749 §3.3."""
    lazyauth(DEFAULT_CLIENT_SCOPES=["openid", "email"])
    for nothing in (None, ""):
        browser = make_browser()
        location = sign_in(browser, client_, scope=nothing, subject="ada")
        assert redeem(client_, query_of(location)["code"]).json()["scope"].split() == ["openid", "email"]


def test_a_scope_asked_for_twice_is_granted_once(client_):
    """RFC 6749 §3.3."""
    start(make_browser(), client_, scope="openid email openid")
    assert PendingAuthorization.objects.get().scope == "openid email"


@pytest.mark.parametrize(
    "scope", ["unknown", "openid unknown", "OPENID", "openid,email", "op\x00enid", "*", "'", " "]
)
def test_an_unknown_scope_is_an_error_that_the_client_is_told(client_, scope):
    """RFC 6749 §4.1.2.1."""
    answer = answer_to(client_, ask(make_browser(), client_, scope=scope))
    assert answer["error"] == ("invalid_request" if "\x00" in scope else "invalid_scope")
    assert answer["state"] == client_.state


@pytest.mark.parametrize(
    "state",
    [
        "a b+c%20&x=y#z",
        "ü€😀",
        "\"'<script>alert(1)</script>",
        "a\tb\r\nX: y",
        " lead and trail ",
        "%",
        "%zz%00",
        "\\",
        '{"json": [1, 2]}',
        "code=evil&iss=evil",
        "0",
        "s" * 4096,
    ],
)
def test_state_comes_back_exactly_as_sent(client_, state):
    """RFC 6749 §4.1.2: on success, on an error and on a denial."""
    assert answer_to(client_, ask(make_browser(), client_, state=state, scope="unknown"))["state"] == state
    browser = signed_in(make_user())
    page = ask(browser, client_, state=state)
    assert answer_to(client_, submit(browser, page, decision="deny"))["state"] == state
    page = ask(browser, client_, state=state)
    assert answer_to(client_, submit(browser, page, decision="allow"))["state"] == state
    answer = answer_to(client_, ask(browser, client_, state=state))
    assert (answer["state"], set(answer)) == (state, {"code", "state", "iss"})


def test_a_state_that_cannot_be_kept_is_refused_and_not_echoed(client_):
    """RFC 6749 §4.1.2.1."""
    for state in ("s" * 4097, "s\x00"):
        answer = answer_to(client_, ask(make_browser(), client_, state=state))
        assert answer["error"] == "invalid_request"
        assert "state" not in answer


def test_without_a_state_none_comes_back(client_):
    """RFC 6749 §4.1.2."""
    browser = signed_in(make_user())
    page = ask(browser, client_, state=None)
    assert set(answer_to(client_, submit(browser, page, decision="allow"))) == {"code", "iss"}
    assert set(answer_to(client_, ask(browser, client_, state=None, max_age="x"))) == {
        "error",
        "error_description",
        "iss",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "n" * 256},
        {"login_hint": "l" * 257},
        {"ui_locales": "de " * 60},
        {"prompt": "login " * 20},
        {"scope": "s" * 4097},
        {"nonce": "\x00"},
        {"login_hint": "\x00"},
        {"ui_locales": "\x00"},
        {"claims": "{"},
        {"claims": "[" * 4000},
    ],
)
def test_a_value_that_cannot_be_kept_is_an_error_that_the_client_is_told(client_, changes):
    """I18."""
    answer = answer_to(client_, ask(make_browser(), client_, **changes))
    assert (answer["error"], answer["state"]) == ("invalid_request", client_.state)


def test_parameters_that_nobody_knows_are_ignored(client_):
    """RFC 6749 §3.1."""
    assert is_choice_page(ask(make_browser(), client_, whatever="x", display="popup", acr_values="1"))


@pytest.mark.parametrize(
    ("state", "fits"), [("s" * 4096, True), ("é" * 2000, True), ("é" * 3000, False), ("😀" * 3800, False)]
)
def test_a_state_that_no_answer_could_carry_is_refused_at_once(client_, state, fits):
    """I18: sent as raw octets it is short, and percent-encoded too long for a redirect."""
    browser = signed_in(make_user())
    query = client_.authorize_query(state=None) + "&state=" + state.encode().decode("latin-1")
    page = ask_raw(browser, query)
    if fits:
        assert answer_to(client_, submit(browser, page, decision="allow"))["state"] == state
    else:
        assert_error_page(page)


def test_a_query_of_20000_characters_gets_a_page(client_):
    """I18."""
    assert_error_page(ask(make_browser(), client_, whatever="x" * 20_000))


# -- what is ignored -------------------------------------------------------------------------------------


def test_approval_prompt_auto_skips_no_consent(client_):
    """Threat model: the parameter of OAuth drafts long gone opens no door, not even with a live token."""
    user = make_user()
    browser = remembered(client_, user)
    code = answer_to(client_, ask(browser, client_))["code"]
    assert redeem(client_, code).status_code == 200
    Consent.objects.all().delete()
    for value in ("auto", "force"):
        assert is_consent_page(ask(browser, client_, approval_prompt=value))


FORGED = {
    "HTTP_X_FORWARDED_HOST": "evil.test",
    "HTTP_X_FORWARDED_PROTO": "http",
    "HTTP_X_FORWARDED_PORT": "8080",
    "HTTP_X_FORWARDED_PREFIX": "/evil",
    "HTTP_FORWARDED": "for=1.2.3.4;host=evil.test;proto=http",
    "HTTP_X_ORIGINAL_URL": "/evil",
    "HTTP_X_REWRITE_URL": "/evil",
}


@pytest.mark.parametrize("host", ["auth.example", "evil.test"])
@pytest.mark.parametrize("trusting", [False, True])
def test_forged_hosts_change_neither_issuer_nor_redirects(client_, settings, host, trusting):
    """Threat model: the issuer is the configured one, whatever the headers say."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.USE_X_FORWARDED_HOST = settings.USE_X_FORWARDED_PORT = trusting
    forged = FORGED | {"SERVER_NAME": host}
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}", **forged)
    action, fields = form_of(page)
    assert action == "/authorize/choose"
    assert b"evil" not in page.content
    upstream = browser.post(action, fields | {"provider": "demo"}, secure=True, **forged)
    assert query_of(upstream.headers["Location"])["redirect_uri"] == f"{ISSUER}/callback/demo"
    state = query_of(upstream.headers["Location"])["state"]
    answer = get(browser, f"/callback/demo?{urlencode({'state': state, 'code': 'ada'})}", **forged)
    assert answer.headers["Location"].startswith("/authorize/")
    page = get(browser, answer.headers["Location"], **forged)
    action, fields = form_of(page)
    answer = browser.post(action, fields | {"decision": "allow"}, secure=True, **forged)
    assert "code" in answer_to(client_, answer)


def test_a_host_that_is_not_allowed_gets_a_400(client_):
    """I18."""
    response = get(make_browser(), f"/authorize?{client_.authorize_query()}", SERVER_NAME="evil.test")
    assert response.status_code == 400
    assert b"client.example" not in response.content


# -- GET and POST ----------------------------------------------------------------------------------------


def test_a_get_writes_no_row_and_may_come_twice(client_):
    """Spec 7: a client library may GET the URL before the browser does (I16)."""
    before = rows()
    browser = make_browser()
    first, second, elsewhere = ask(browser, client_), ask(browser, client_), ask(make_browser(), client_)
    assert all(is_choice_page(page) for page in (first, second, elsewhere))
    assert get(browser, "/authorize?nonsense").status_code == 400
    assert answer_to(client_, ask(browser, client_, prompt="none"))["error"] == "login_required"
    answer = answer_to(client_, ask(browser, client_, scope="openid unknown"))
    assert answer["error"] == "invalid_scope"
    assert answer["error_description"] == "There is no scope unknown for this client here."
    assert rows() == before
    assert "sessionid" not in browser.cookies
    for page in (second, first):
        upstream = submit(browser, page, provider="demo")
        answer = consent(browser, come_back(browser, upstream, subject="ada"))
        assert "code" in answer_to(client_, answer)


def test_a_get_of_a_signed_in_person_writes_no_row_until_they_act(client_):
    """Spec 1: a row only when the person acts."""
    browser = signed_in(make_user())
    before = rows()
    assert is_consent_page(ask(browser, client_))
    assert is_choice_page(ask(browser, client_, prompt="login"))
    assert rows() == before


def test_a_head_writes_no_row(client_):
    """RFC 9110 §9.3.2."""
    before = rows()
    response = make_browser().head(f"/authorize?{client_.authorize_query()}", secure=True)
    assert (response.status_code, response.content) == (200, b"")
    assert rows() == before


def test_what_is_written_without_a_person_acting_is_bounded(client_, lazyauth, settings):
    """I16: an operator's client with one provider has nothing to ask; the cap holds there too."""
    lazyauth(MAX_PENDING_PER_NETWORK=3)
    settings.LAZYAUTH["PROVIDERS"] = {"demo": settings.LAZYAUTH["PROVIDERS"]["demo"]}
    for _ in range(3):
        assert ask(make_browser(), client_).headers["Location"].startswith("https://upstream.example/")
    answer = answer_to(client_, ask(make_browser(), client_))
    assert (answer["error"], answer["state"]) == ("temporarily_unavailable", client_.state)
    assert PendingAuthorization.objects.counted().count() == 3


def test_the_cap_of_one_network_leaves_room_for_others(client_, lazyauth):
    """I16: 24 bits of an IPv4 address, 56 of an IPv6 one; forwarding headers are not believed."""
    lazyauth(MAX_PENDING_PER_NETWORK=2)

    def choose(address, **headers):
        browser = make_browser()
        action, fields = form_of(ask(browser, client_))
        return browser.post(
            action, fields | {"provider": "demo"}, secure=True, REMOTE_ADDR=address, **headers
        ).status_code

    assert [choose("198.51.100.1"), choose("198.51.100.2")] == [303, 303]
    full = choose("198.51.100.3", HTTP_X_FORWARDED_FOR="203.0.113.1")
    assert full == 503
    assert choose("::ffff:198.51.100.4") == 503
    assert choose("203.0.113.1") == 303
    assert [choose("2001:db8::1"), choose("2001:db8::ff:1")] == [303, 303]
    assert choose("2001:db8:0:ff::1") == 503
    assert choose("2001:db8:0:100::1") == 303
    assert [choose("fe80::1%eth0"), choose("")] == [303, 303]


def test_flows_that_fail_count_until_they_make_room(client_, lazyauth):
    """I16: a stranger ends a flow as easily as he begins one; its row stands until it is swept, or room is needed."""
    lazyauth(MAX_PENDING_PER_NETWORK=3)
    for _ in range(8):
        browser = make_browser()
        state = query_of(start(browser, client_).headers["Location"])["state"]
        mixed_up = get(browser, f"/callback/other?state={state}&code=x")
        assert query_of(mixed_up.headers["Location"])["error"] == "server_error"
        assert PendingAuthorization.objects.count() <= 3
    assert set(PendingAuthorization.objects.values_list("status", flat=True)) == {Status.FAILED}


def test_the_cap_in_all_holds_across_networks_and_says_when_to_come_again(client_, lazyauth):
    """I16, RFC 9110 §10.2.3."""
    lazyauth(MAX_PENDING_AUTHORIZATIONS=1)
    start(make_browser(), client_)
    browser = make_browser()
    response = submit(browser, ask(browser, client_), provider="demo")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    PendingAuthorization.objects.update(expires_at=timezone.now())
    assert submit(browser, ask(browser, client_), provider="demo").status_code == 303


def test_a_post_ends_in_the_same_page_as_a_get(client_):
    """OpenID Connect Core §3.1.2.1; the form comes from the client's site, so without our cookies."""
    before = rows()
    response = make_browser().post(
        "/authorize",
        client_.authorize_query(state="a b&c"),
        content_type="application/x-www-form-urlencoded",
        secure=True,
        headers={"origin": "https://client.example"},
    )
    assert response.status_code == 303
    assert response.headers["Location"].startswith("/authorize?")
    assert rows() == before
    browser = make_browser()
    page = get(browser, response.headers["Location"])
    assert is_choice_page(page)
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    assert answer_to(client_, consent(browser, answer))["state"] == "a b&c"


def test_a_post_keeps_repeated_parameters_repeated(client_):
    """RFC 6749 §3.1: the way over POST is no way around."""
    query = client_.authorize_query(redirect_uri=[client_.redirect_uri, "https://evil.test"])
    browser = make_browser()
    response = browser.post(
        "/authorize", query, content_type="application/x-www-form-urlencoded", secure=True
    )
    assert_error_page(get(browser, response.headers["Location"]))


def test_other_methods_are_refused(client_):
    """RFC 6749 §3.1."""
    for method in ("put", "delete", "patch"):
        response = getattr(make_browser(), method)(f"/authorize?{client_.authorize_query()}", secure=True)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


# -- iss -------------------------------------------------------------------------------------------------


def test_every_answer_names_the_issuer(client_, lazyauth):
    """RFC 9207 §2: success, error, denial and silent refusals alike."""
    lazyauth(ISSUER="https://auth.example/tenant")
    browser = signed_in(make_user())

    def issuer_of(response):
        return query_of(response.headers["Location"])["iss"]

    page = ask(browser, client_)
    answers = {
        "login_required": ask(make_browser(), client_, prompt="none"),
        "consent_required": ask(browser, client_, prompt="none"),
        "invalid_scope": ask(browser, client_, scope="unknown"),
        "access_denied": submit(browser, page, decision="deny"),
        None: submit(browser, ask(browser, client_), decision="allow"),
    }
    for error, response in answers.items():
        assert query_of(response.headers["Location"]).get("error") == error
        assert issuer_of(response) == "https://auth.example/tenant"
    assert issuer_of(ask(browser, client_)) == "https://auth.example/tenant"


# -- prompt ----------------------------------------------------------------------------------------------


def test_prompt_none_of_nobody_is_login_required(client_):
    """OpenID Connect Core §3.1.2.6."""
    answer = answer_to(client_, ask(make_browser(), client_, prompt="none"))
    assert (answer["error"], answer["state"]) == ("login_required", client_.state)


def test_prompt_none_without_consent_is_consent_required(client_):
    """OpenID Connect Core §3.1.2.6."""
    answer = answer_to(client_, ask(signed_in(make_user()), client_, prompt="none"))
    assert (answer["error"], answer["state"]) == ("consent_required", client_.state)


def test_prompt_none_succeeds_where_consent_is_remembered(client_):
    """OpenID Connect Core §3.1.2.1."""
    user = make_user()
    answer = answer_to(client_, ask(remembered(client_, user), client_, prompt="none"))
    body = redeem(client_, answer["code"]).json()
    claims = jwt.decode(body["id_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["nonce"]) == (str(user.pk), "client-nonce")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "openid offline_access"}, "consent_required"),
        ({"resource": "https://api.example/"}, "consent_required"),
        ({"max_age": "0"}, "login_required"),
        ({"id_token_hint": "nonsense"}, "login_required"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none none consent"}, "invalid_request"),
        ({"response_mode": "web_message"}, "invalid_request"),
    ],
)
def test_prompt_none_never_shows_a_page(client_, changes, error):
    """OpenID Connect Core §3.1.2.1."""
    browser = remembered(client_, make_user())
    answer = answer_to(client_, ask(browser, client_, **{"prompt": "none"} | changes))
    assert (answer["error"], answer["state"]) == (error, client_.state)


def test_prompt_none_shows_no_page_when_there_is_no_room(client_, lazyauth):
    """OpenID Connect Core §3.1.2.1, I16."""
    browser = remembered(client_, make_user())
    lazyauth(MAX_PENDING_AUTHORIZATIONS=0)
    answer = answer_to(client_, ask(browser, client_, prompt="none"))
    assert answer["error"] == "temporarily_unavailable"


def test_a_deactivated_user_is_nobody(client_):
    """OpenID Connect Core §3.1.2.6."""
    user = make_user()
    browser = remembered(client_, user)
    get_user_model().objects.update(is_active=False)
    assert answer_to(client_, ask(browser, client_, prompt="none"))["error"] == "login_required"
    assert is_choice_page(ask(browser, client_))


@pytest.mark.parametrize("prompt", ["", "foo", "login foo", "NONE", "none,login", "\u2003none login"])
def test_a_prompt_that_openid_does_not_know_is_refused_and_an_empty_one_is_none(client_, prompt):
    """OpenID Connect Core §3.1.2.1."""
    response = ask(make_browser(), client_, prompt=prompt)
    if not prompt:
        assert is_choice_page(response)
    else:
        assert answer_to(client_, response)["error"] == "invalid_request"


def test_prompt_login_asks_to_sign_in_again_and_offers_no_way_around(client_):
    """OpenID Connect Core §3.1.2.1."""
    user = make_user()
    browser = remembered(client_, user, ago=HOUR)
    page = ask(browser, client_, prompt="login")
    assert is_choice_page(page)
    assert user.email not in page.content.decode()
    assert is_choice_page(submit(browser, page, account="current"))
    location = come_back(browser, submit(browser, page, provider="demo"), subject="ada").headers["Location"]
    if not location.startswith(client_.redirect_uri):
        answer = submit(browser, get(browser, location), decision="allow")
        location = answer.headers["Location"]
    claims = jwt.decode(
        redeem(client_, query_of(location)["code"]).json()["id_token"], options={"verify_signature": False}
    )
    assert claims["auth_time"] >= time.time() - 60


def test_prompt_consent_asks_again(client_):
    """OpenID Connect Core §3.1.2.1."""
    browser = remembered(client_, make_user())
    assert is_consent_page(ask(browser, client_, prompt="consent"))
    assert "code" in answer_to(client_, ask(browser, client_))


def test_prompt_consent_asks_again_after_signing_in(client_):
    """OpenID Connect Core §3.1.2.1; also of a client whose consent the operator waived."""
    change_client(client_, skip_authorization=True)
    browser = make_browser()
    assert "code" in answer_to(client_, come_back(browser, start(browser, client_), subject="ada"))
    browser = make_browser()
    answer = come_back(browser, start(browser, client_, prompt="consent"), subject="ada")
    assert is_consent_page(get(browser, answer.headers["Location"]))


def test_prompt_select_account_offers_the_account_and_the_ways_to_another(client_):
    """OpenID Connect Core §3.1.2.1."""
    user = make_user()
    browser = remembered(client_, user)
    page = ask(browser, client_, prompt="select_account")
    assert is_choice_page(page)
    assert user.email in soup_of(page).find("button", {"name": "account"}).get_text()
    assert "code" in answer_to(client_, submit(browser, page, account="current"))
    page = ask(browser, client_, prompt="select_account")
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="grace")
    page = get(browser, answer.headers["Location"])
    assert "grace@people.example" in page.content.decode()


def test_prompt_create_asks_for_a_new_account(client_):
    """Initiating User Registration via OpenID Connect §4."""
    browser = make_browser()
    page = ask(browser, client_, prompt="create")
    assert soup_of(page).h1.get_text() == "Create an account"
    submit(browser, page, provider="demo")
    assert PendingAuthorization.objects.get().prompts == {"create"}
    assert soup_of(ask(browser, client_)).h1.get_text() == "Sign in"


@pytest.mark.parametrize("prompt", ["create", "create consent", "create select_account"])
def test_prompt_create_of_somebody_signed_in_asks_for_a_new_account(client_, prompt):
    """Initiating User Registration via OpenID Connect §4: what is advertised has an effect."""
    browser = signed_in(make_user("grace"))
    page = ask(browser, client_, prompt=prompt)
    assert soup_of(page).h1.get_text() == "Create an account"
    assert soup_of(page).find("button", {"name": "account"}) is None
    assert is_choice_page(submit(browser, page, account="current"))
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    page = get(browser, answer.headers["Location"])
    assert "ada@people.example" in page.content.decode()


def test_prompt_create_of_somebody_signed_in_opens_the_register_page_of_the_password(client_, settings):
    """The same, where the account is made here."""
    settings.LAZYAUTH["PROVIDERS"] = {"local": {"type": "password"}}
    browser = signed_in(make_user("grace"))
    redirect = submit(browser, ask(browser, client_, prompt="create"), provider="local")
    assert soup_of(get(browser, redirect.headers["Location"])).h1.get_text() == "Register"


# -- max_age ---------------------------------------------------------------------------------------------


def test_max_age_asks_to_sign_in_again_when_that_was_longer_ago(client_):
    """OpenID Connect Core §3.1.2.1."""
    browser = remembered(client_, make_user(), ago=HOUR)
    assert is_choice_page(ask(browser, client_, max_age="3000"))
    answer = answer_to(client_, ask(browser, client_, max_age="4000"))
    claims = jwt.decode(
        redeem(client_, answer["code"]).json()["id_token"], options={"verify_signature": False}
    )
    assert abs(claims["auth_time"] - (time.time() - 3600)) < 60
    assert (
        answer_to(client_, ask(browser, client_, max_age="3000", prompt="none"))["error"] == "login_required"
    )
    assert "code" in answer_to(client_, ask(browser, client_, max_age="4000", prompt="none"))


def test_max_age_0_always_asks_and_signing_in_satisfies_it(client_):
    """OpenID Connect Core §3.1.2.1: the same as prompt=login, and no loop."""
    user = make_user()
    browser = remembered(client_, user)
    page = ask(browser, client_, max_age="0")
    assert is_choice_page(page)
    assert soup_of(page).find("button", {"name": "account"}) is None
    assert is_choice_page(submit(browser, page, account="current"))
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    answer = consent(browser, answer)
    claims = jwt.decode(
        redeem(client_, answer_to(client_, answer)["code"]).json()["id_token"],
        options={"verify_signature": False},
    )
    assert claims["auth_time"] >= time.time() - 60


def test_a_sign_in_of_unknown_age_is_too_old_for_any_max_age(client_):
    """OpenID Connect Core §3.1.2.1. It began before this app came; a sign-in elsewhere says nothing of this browser."""
    user = make_user()
    browser = make_browser()
    browser.force_login(user)
    assert is_consent_page(ask(browser, client_, max_age="999"))
    session = browser.session
    del session[BEGAN_KEY]
    session.save()
    make_browser().force_login(user)
    assert is_choice_page(ask(browser, client_, max_age="999999999"))
    assert is_consent_page(ask(browser, client_))


@pytest.mark.parametrize("max_age", ["-1", "x", "1.5", "1e3", " 1", "+1", "１", "1_0", "9999999999"])
def test_a_max_age_that_is_no_number_of_seconds_is_refused(client_, max_age):
    """OpenID Connect Core §3.1.2.1."""
    assert answer_to(client_, ask(make_browser(), client_, max_age=max_age))["error"] == "invalid_request"


# -- hints -----------------------------------------------------------------------------------------------


def test_login_hint_and_max_age_reach_the_provider(client_):
    """OpenID Connect Core §3.1.2.1."""
    start(make_browser(), client_, login_hint="ada@corp.example", max_age="7", ui_locales="de en")
    pending = PendingAuthorization.objects.get()
    assert (pending.login_hint, pending.max_age) == ("ada@corp.example", 7)
    assert pending.ui_locales == "de en"


@pytest.mark.parametrize(
    ("ui_locales", "language"),
    [
        ("de", "de"),
        ("xx-nonsense fr-CA de", "fr"),
        ("xx", "en"),
        ("", "en"),
        ("../../etc x" + "y" * 100, "en"),
    ],
)
def test_pages_speak_the_first_language_asked_for_that_they_know(client_, ui_locales, language):
    """OpenID Connect Core §3.1.2.1."""
    page = ask(make_browser(), client_, ui_locales=ui_locales)
    assert page.headers["Content-Language"] == language
    assert soup_of(page).html["lang"] == language


@pytest.fixture
def id_token_of_ada(client_):
    user = make_user("ada")
    browser = remembered(client_, user)
    code = answer_to(client_, ask(browser, client_))["code"]
    return browser, user, redeem(client_, code).json()["id_token"]


def test_a_hint_of_the_person_who_is_signed_in_is_good_even_when_it_has_expired(
    client_, id_token_of_ada, settings
):
    """OpenID Connect Core §3.1.2.1."""
    browser, user, token = id_token_of_ada
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    expired = jwt.encode(
        claims | {"exp": 1, "iat": 0}, settings.SIGNING_KEY, algorithm="RS256", headers={"kid": kid}
    )
    for hint in (token, expired):
        assert "code" in answer_to(client_, ask(browser, client_, prompt="none", id_token_hint=hint))
    assert claims["sub"] == str(user.pk)


def test_a_hint_of_somebody_else_asks_to_sign_in(client_, id_token_of_ada):
    """OpenID Connect Core §3.1.2.1."""
    _, ada, token = id_token_of_ada
    browser = remembered(client_, make_user("bob-of-this-browser"))
    refused = answer_to(client_, ask(browser, client_, prompt="none", id_token_hint=token))
    assert refused["error"] == "login_required"
    page = ask(browser, client_, id_token_hint=token)
    assert is_choice_page(page)
    assert "bob-of-this-browser" not in page.content.decode()
    assert ada.email not in page.content.decode()


def test_a_hint_that_we_did_not_sign_names_nobody(client_, id_token_of_ada):
    """OpenID Connect Core §3.1.2.1."""
    browser, _, token = id_token_of_ada
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    strange = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        jwt.encode(claims, strange, algorithm="RS256", headers=header),
        jwt.encode(claims, "", algorithm="none", headers={"kid": header["kid"]}),
        token[:-4] + "AAAA",
        token.rpartition(".")[0] + ".",
        "a.b.c",
        "x" * 5000,
        "ü",
    ]
    for hint in forged:
        answer = answer_to(client_, ask(browser, client_, prompt="none", id_token_hint=hint))
        assert answer["error"] == "login_required"


# -- the query as bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail", ["&%", "&%zz=1", "&x=%", "&state2=%ff%fe", "&a=%C0%AF", "&=&&", "&x", "&\xff\xfe=1", "&a;b=1"]
)
def test_a_query_that_is_badly_encoded_elsewhere_is_served(client_, tail):
    """I18: oauthlib stumbles over percent signs that stand for nothing."""
    assert is_choice_page(ask_raw(make_browser(), client_.authorize_query() + tail))


def test_invalid_utf8_in_a_state_does_not_break_the_answer(client_):
    """I18."""
    query = client_.authorize_query(state=None) + "&state=%ff%fe&scope2=x"
    browser = signed_in(make_user())
    page = ask_raw(browser, query)
    assert answer_to(client_, submit(browser, page, decision="allow"))["state"] == "��"


@pytest.mark.parametrize(
    "charset", ["utf-16", "unicode_escape", "raw_unicode_escape", "utf-7", "punycode", "latin-1", "cp037"]
)
def test_parameters_are_utf8_whatever_charset_the_request_names(client_, charset):
    """RFC 6749 Appendix B."""
    query = client_.authorize_query() + "&" + urlencode({"x": "\\ud800+2AA-"})
    response = get(
        make_browser(),
        "/authorize",
        QUERY_STRING=query.replace("nonce", "%6eonce"),
        CONTENT_TYPE=f"text/plain; charset={charset}",
    )
    assert is_choice_page(response)


# -- the choice page -------------------------------------------------------------------------------------


def test_the_choice_page_of_a_self_registered_client_is_never_skipped(db, settings):
    """Spec 1: the page names a client before the hop, even where there is nothing to choose."""
    settings.LAZYAUTH["PROVIDERS"] = {"demo": settings.LAZYAUTH["PROVIDERS"]["demo"]}
    for source in ("dcr", "cimd"):
        client = self_registered(f"stranger-{source}", source, name="Stranger", skip_authorization=True)
        page = ask(make_browser(), client)
        assert is_choice_page(page)
        assert "Stranger" in soup_of(page).get_text()
    assert PendingAuthorization.objects.count() == 0


def test_an_operators_client_goes_straight_to_the_only_provider(client_, settings):
    """Spec 1."""
    settings.LAZYAUTH["PROVIDERS"] = {"demo": settings.LAZYAUTH["PROVIDERS"]["demo"]}
    browser = make_browser()
    response = ask(browser, client_)
    assert response.status_code == 303
    assert urlsplit(response.headers["Location"]).hostname == "upstream.example"
    assert "code" in answer_to(client_, consent(browser, come_back(browser, response, subject="ada")))


def test_an_operators_client_with_two_providers_gets_the_page(client_):
    """Spec 1."""
    page = ask(make_browser(), client_)
    buttons = [button["value"] for button in soup_of(page).find_all("button", {"name": "provider"})]
    assert buttons == ["demo", "other"]


def test_a_provider_that_is_off_or_unknown_shows_the_page_again(client_, settings):
    """Spec 1: the other ways stay open."""
    browser = make_browser()
    page = ask(browser, client_)
    for name in ("nobody", "", "../demo", "demo\n"):
        again = submit(browser, page, provider=name)
        assert is_choice_page(again)
        assert soup_of(again).find(attrs={"role": "alert"}) is not None
        assert PendingAuthorization.objects.count() == 0
    assert submit(browser, again, provider="demo").status_code == 303


def test_a_provider_that_cannot_begin_shows_the_others_and_keeps_the_flow(client_, settings):
    """Spec 1: retry keeps the pending row."""
    settings.LAZYAUTH["PROVIDERS"]["closed"] = {"class": "tests.web.site.ClosedProvider"}
    browser = make_browser()
    page = submit(browser, ask(browser, client_), provider="closed")
    assert is_choice_page(page)
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.REQUESTED
    upstream = submit(browser, page, provider="demo")
    assert "code" in answer_to(client_, consent(browser, come_back(browser, upstream, subject="ada")))
    assert PendingAuthorization.objects.get().pk == pending.pk


def test_an_answer_quotes_nothing_that_an_attacker_could_have_written(client_):
    """RFC 6749 §4.1.2.1: error_description has its own alphabet."""
    query = client_.authorize_query() + "".join(f"&{quote(name)}=1" * 2 for name in ('"><script>', "\\", "é"))
    answer = answer_to(client_, ask_raw(make_browser(), query))
    assert answer["error"] == "invalid_request"
    assert all(0x20 <= ord(each) <= 0x7E and each not in '"\\' for each in answer["error_description"])
