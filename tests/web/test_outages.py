"""A machine gets the true reason as JSON, whichever endpoint it calls and whichever service is down."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import Http404

from django_lazyauth.models import PendingAuthorization
from tests.clients.conftest import PUBLIC
from tests.conftest import register
from tests.support.faults import Fault, injected
from tests.support.journey import form_of, get, make_browser, post_form, redeem, start, submit
from tests.support.outages import cache_gone, connection_cut, database_gone
from tests.support.recorded import code_for
from tests.support.reports import reported

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "https://client.example"
JSON = {"content_type": "application/json"}
FORM = {"content_type": "application/x-www-form-urlencoded"}

#: Name → method, path and body. Each of these needs the database.
NEEDS_DATABASE = {
    "token: code": ("POST", "/token", "{code_form}"),
    "refresh": ("POST", "/token", "grant_type=refresh_token&refresh_token={refresh_token}&client_id={client_id}"),
    "token: client": ("POST", "/token", "grant_type=client_credentials&client_id=x&client_secret=y"),
    "revoke": ("POST", "/revoke_token", "token={access_token}&client_id={client_id}"),
    "introspect": ("POST", "/introspect", "token={access_token}&client_id={client_id}&client_secret=x"),
    "userinfo": ("GET", "/userinfo", ""),
    "userinfo by form": ("POST", "/userinfo", ""),
    "upstream token": ("GET", "/upstream-tokens/demo", ""),
    "register": ("POST", "/register", json.dumps(PUBLIC)),
    "read client": ("GET", "/register/{client_id}", ""),
    "replace client": ("PUT", "/register/{client_id}", json.dumps(PUBLIC)),
    "delete client": ("DELETE", "/register/{client_id}", ""),
    "nonce": ("GET", "/authorizations/{session_id}/id-token", ""),
    "id token": ("POST", "/authorizations/{session_id}/id-token", '{{"id_token": "x.y.z"}}'),
    "identities": ("GET", "/identities", ""),
    "link": ("POST", "/identities", '{{"id_token": "x.y.z"}}'),
    "unlink": ("DELETE", "/identities/1", ""),
    "sessions": ("GET", "/sessions", ""),
    "end session": ("DELETE", "/sessions/{session_id}", ""),
}  # fmt: skip
#: These need none, and work without one.
NEEDS_NOTHING = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource",
]
#: Endpoints that read a cookie. Only this site's own scripts may call them.
OWN_SCRIPTS_ONLY = {"nonce", "id token", "identities", "link", "unlink", "sessions", "end session"}


@pytest.fixture
def browser():
    browser = make_browser()
    browser.raise_request_exception = False
    return browser


@pytest.fixture
def call(browser, client_, lazyauth):
    """Call an endpoint by its name, with tokens that are good."""
    lazyauth(UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["demo"]})
    tokens = redeem(client_, code_for(client_)).json()
    start(browser, client_)
    browser.force_login(get_user_model().objects.create_user("visitor"))
    code = code_for(client_, subject="grace")
    values = {
        **{name: tokens[name] for name in ("access_token", "refresh_token")},
        "client_id": client_.client_id,
        "code_form": "&".join(f"{name}={value}" for name, value in client_.token_form(code).items()),
        "session_id": PendingAuthorization.objects.filter(status="sent_upstream").get().pk,
    }

    def send(name, origin=ORIGIN, method=None):
        kept, path, body = NEEDS_DATABASE[name]
        is_form = kept == "POST" and path in ("/token", "/revoke_token", "/introspect")
        headers = {"origin": origin}
        if path.startswith(("/userinfo", "/upstream", "/register/")):
            headers["authorization"] = f"Bearer {values['access_token']}"
        content = body if body.startswith('{"r') else body.format(**values)
        return browser.generic(
            method or kept, path.format(**values), content, secure=True, headers=headers, **(FORM if is_form else JSON)
        )  # fmt: skip

    return send


def assert_unavailable(answer):
    assert answer.status_code == 503, (answer.status_code, answer.content)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"] == "temporarily_unavailable"
    assert 0 < int(answer.headers["Retry-After"]) <= 10
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", NEEDS_DATABASE)
def test_without_the_database_every_endpoint_of_machines_answers_503(call, name):
    """RFC 6749 §4.1.2.1, RFC 9110 §15.6.4: JSON, and when another try makes sense. Then it is answered."""
    with database_gone():
        answer = call(name)
    assert_unavailable(answer)
    assert call(name).status_code < 500
    shared = "" if name in OWN_SCRIPTS_ONLY else "*"
    if name in ("register", "read client", "replace client", "delete client"):
        shared = ORIGIN
    assert answer.headers.get("Access-Control-Allow-Origin", "") == shared


@pytest.mark.parametrize("name", ["token: code", "revoke", "userinfo", "replace client", "sessions"])
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="service: runs on PostgreSQL")
def test_a_connection_that_the_server_ended_is_an_outage_of_one_request(call, name):
    """The database was restarted: the first request on the old connection is told to come again."""
    with connection_cut():
        answer = call(name)
    assert_unavailable(answer)
    assert call(name).status_code < 500


@pytest.mark.parametrize("path", NEEDS_NOTHING)
def test_documents_need_no_database(path):
    """RFC 8414 §3: they come from the settings."""
    with database_gone():
        answer = get(make_browser(), path, headers={"origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_readiness_names_the_database_that_is_gone():
    with database_gone():
        answer = get(make_browser(), "/ready")
    assert (answer.status_code, answer.json()["waits_for"]) == (503, ["database"])


@pytest.mark.parametrize("name", NEEDS_DATABASE)
def test_without_the_cache_only_what_has_to_be_counted_is_refused(call, name, settings):
    """Threat model, operations: Redis down → limits on strangers fail closed with the true reason, the rest works."""
    settings.CACHES = cache_gone()
    answer = call(name)
    if name == "register":
        assert_unavailable(answer)
    else:
        assert answer.status_code < 500, answer.content


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sso/acme.example/discover"), ("GET", "/sso/acme.example")]
)
def test_without_the_cache_nobody_makes_us_fetch(method, path, settings):
    """Threat model: a flood of discoveries is limited per network, and without a count nobody drives any."""
    settings.CACHES = cache_gone()
    answer = make_browser().generic(method, path, b"", secure=True, headers={"origin": ORIGIN})
    if method == "POST":
        assert_unavailable(answer)
    else:
        assert answer.status_code == 403
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("name", NEEDS_DATABASE)
def test_a_fault_of_ours_is_json_too_and_its_text_is_nowhere(call, name, caplog):
    """I13, I18: no error of a library reaches the wire, or its text the log."""

    # The log shows lines of code, and this value is on none of them.
    error = RuntimeError("".join(["can", "ary"]))

    def fail(execute, sql, params, many, context):
        raise error

    with connection.execute_wrapper(fail):
        answer = call(name)
    assert answer.status_code in (500, 503)
    assert answer.json()["error"] in ("server_error", "temporarily_unavailable")
    assert b"canary" not in answer.content
    assert "canary" not in caplog.text


# -- other origins -----------------------------------------------------------------------------------------

SHARED = [
    "/token",
    "/revoke_token",
    "/introspect",
    "/userinfo",
    "/register",
    "/register/x",
    "/upstream-tokens/x",
]
SHARED += ["/sso/acme.example", "/sso/acme.example/discover", *NEEDS_NOTHING]
OWN = [
    "/identities",
    "/identities/1",
    "/sessions",
    f"/sessions/{'0' * 8}-0000-0000-0000-{'0' * 12}",
    "/ready",
]


@pytest.mark.parametrize("path", SHARED + OWN)
def test_every_endpoint_answers_a_preflight_before_anybody_is_known(path):
    """Fetch §4.8: a preflight carries neither a cookie nor a token."""
    with database_gone():
        answer = make_browser().options(path, secure=True, headers={"origin": ORIGIN})
    assert answer.status_code == 204
    assert ("Access-Control-Allow-Origin" in answer.headers) == (path in SHARED)
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/authorize", "/account/sessions", "/device", "/logout", *SHARED, *OWN])
def test_head_is_served_where_get_is(lazyauth, path):
    """RFC 9110 §9.3.2."""
    lazyauth(DEVICE_FLOW=True)
    answer = make_browser().options(path, secure=True)
    named = (answer.headers.get("Allow") or answer.headers["Access-Control-Allow-Methods"]).split(", ")
    assert ("GET" in named) == ("HEAD" in named)


def test_head_at_userinfo_answers_as_get_without_a_body(client_):
    """RFC 9110 §9.3.2."""
    token = redeem(client_, code_for(client_)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    served = get(make_browser(), "/userinfo", headers=headers)
    asked = make_browser().head("/userinfo", secure=True, headers=headers)
    assert (asked.status_code, asked.content, asked.headers["Content-Type"]) == (200, b"", "application/json")
    assert served.status_code == 200
    assert make_browser().head("/userinfo", secure=True).status_code == 401


@pytest.mark.parametrize("path", SHARED)
def test_scripts_may_read_that_a_method_is_not_taken(path):
    """RFC 9110 §15.5.6."""
    answer = make_browser().generic("PATCH", path, secure=True, headers={"origin": ORIGIN})
    assert answer.status_code in (405, 404), path
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    if answer.status_code == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize("origin", [ORIGIN, "https://elsewhere.example", "null"])
@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect"])
def test_a_script_learns_that_its_client_is_unknown(path, origin):
    """RFC 6749 §5.2: it has to register again. It can only if it may read why it was refused."""
    form = {"client_id": "swept-away", "token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
    answer = post_form(make_browser(), path, form, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]


def test_a_script_learns_that_its_secret_is_wrong(confidential):
    """RFC 6749 §5.2."""
    form = confidential.token_form("x", client_secret="wrong")
    answer = post_form(make_browser(), "/token", form, headers={"origin": "https://elsewhere.example"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_script_learns_that_its_client_was_disabled(client_, application):
    """RFC 6749 §5.2."""
    type(application).objects.filter(pk=application.pk).delete()
    answer = post_form(make_browser(), "/token", client_.token_form("x"), headers={"origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_script_of_another_origin_reads_no_answer_about_a_known_client(client_):
    """Spec 7, CORS: tokens and refusals of a client are for its own origins."""
    headers = {"origin": "https://elsewhere.example"}
    for code in ("wrong", code_for(client_)):
        answer = post_form(make_browser(), "/token", client_.token_form(code), headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/elsewhere",
        "/.well-known/openid-configuration/elsewhere",
        "/.well-known/oauth-protected-resource/no/such/resource",
    ],
)
def test_a_script_learns_that_a_document_does_not_exist(path):
    """RFC 8414 §3.2, RFC 9728 §3.2: clients try several addresses, and go on after a 404 that they can read."""
    answer = get(make_browser(), path, headers={"origin": ORIGIN})
    assert (answer.status_code, answer.json()) == (404, {"error": "not_found"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_script_learns_that_its_registration_is_too_long():
    """RFC 9110 §15.5.14."""
    body = json.dumps(PUBLIC | {"client_name": "x" * 70_000})
    answer = make_browser().generic(
        "POST", "/register", body, content_type="application/json", secure=True, headers={"origin": ORIGIN}
    )
    assert answer.status_code == 413
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


# -- what is reported ---------------------------------------------------------------------------------------


def test_i13_a_report_of_a_page_that_failed_shows_nothing_that_was_typed(browser, client_, lazyauth):
    """I13: Django mails the form and all variables of a failed request to the admins of a site."""
    lazyauth(PROVIDERS={"local": {"type": "password"}, "demo": settings.LAZYAUTH["PROVIDERS"]["demo"]})
    page = get(browser, start(browser, client_, provider="local").headers["Location"])
    _action, fields = form_of(page)
    with reported() as reports, injected(Fault(3, error=RuntimeError)):
        answer = submit(browser, page, email="ada@people.example", password="seven-quiet-otters")
    assert answer.status_code == 500
    assert reports
    for secret in ("seven-quiet-otters", fields["form_token"], *browser.cookies.values()):
        assert not any(getattr(secret, "value", secret) in report for report in reports)


# -- two clients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect"])
@pytest.mark.parametrize("secret", ["", "wrong", "right"])
def test_credentials_of_two_clients_are_one_invalid_request(confidential, path, secret):
    """RFC 6749 §2.3, §5.2: whatever the two prove, and for whichever grant."""
    import base64

    other = register(client_id="the-other")
    sent = {"": "", "wrong": "wrong", "right": confidential.client_secret}[secret]
    basic = base64.b64encode(f"{confidential.client_id}:{sent}".encode()).decode()
    for grant_type in ("authorization_code", "refresh_token", "client_credentials", "nonsense"):
        form = {
            "grant_type": grant_type,
            "code": "x",
            "refresh_token": "x",
            "token": "x",
            "client_id": other.client_id,
        }
        headers = {"authorization": f"Basic {basic}", "origin": ORIGIN}
        answer = post_form(make_browser(), path, form, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), grant_type
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_one_client_may_name_itself_twice(confidential):
    """RFC 6749 §3.2.1: client_id in the form beside a Basic header of the same client."""
    import base64

    pair = f"{confidential.client_id}:{confidential.client_secret}".encode()
    form = confidential.token_form(code_for(confidential), client_secret=None)
    headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    assert post_form(make_browser(), "/token", form, headers=headers).status_code == 200


def test_an_unknown_view_error_is_not_an_html_page():
    """A view of ours that raises what Django turns into pages answers JSON."""
    from django.test import RequestFactory

    from django_lazyauth.web.json_endpoint import json_endpoint

    for error, status in (
        (Http404("secret"), 404),
        (RuntimeError("secret"), 500),
        (TimeoutError("secret"), 503),
    ):

        @json_endpoint("GET")
        def view(request, error=error):
            raise error

        answer = view(RequestFactory().get("/"))
        assert answer.status_code == status
        assert b"secret" not in answer.content
        assert answer.headers["Content-Type"] == "application/json"
