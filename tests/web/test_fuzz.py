"""I18: no input yields a 5xx. Whatever comes in, an error of an RFC or a readable page goes out."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_lazyauth.models import PendingAuthorization
from tests.support.client_keys import ASSERTION_TYPE, ClientKey, give_keys
from tests.support.dpop import key_of
from tests.support.examples import examples
from tests.support.journey import (
    REDIRECT_URI,
    code_for,
    form_of,
    get,
    make_browser,
    query_of,
    redeem,
    start,
)

from .site import ask, make_user, register_client, signed_in

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
moderate = settings(
    max_examples=examples(60),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# -- what comes in ---------------------------------------------------------------------------------------

AUTHORIZE_NAMES = [
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "login_hint", "ui_locales", "resource", "claims", "display",
    "id_token_hint", "response_mode", "request", "request_uri", "registration", "acr_values", "approval_prompt",
    "dpop_jkt", "authorization_details", "provider_hint", "domain_hint",
]  # fmt: skip
FORM_NAMES = ["form_token", "request", "provider", "account", "decision", "code", "state", "error", "iss"]
CLIENT_NAMES = [
    "grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier", "refresh_token",
    "scope", "resource", "token", "token_type_hint", "username", "password", "assertion", "client_assertion",
    "client_assertion_type", "device_code", "callback", "access_token",
]  # fmt: skip
TELLING = [
    "", " ", "0", "-1", "code", "none", "login consent", "openid", "S256", "plain", "public-client", "demo",
    "allow", "current", "authorization_code", "refresh_token", "client_credentials", REDIRECT_URI,
    "http://[", "https://[::1", "//", "javascript:alert(1)", "http://localhost:99999/", "urn:x",
    "\x00", "a\x00b", "\r\nX: y", "\u202e", "\ufffd", "😀", "%00", "%zz", "%", "{", "[" * 3000, "{\"a\":" * 500,
    "null", "eyJhbGciOiJub25lIn0.e30.", "ey.ey.ey", "a" * 43, "9" * 400, "١٢", "x" * 5000, "../../etc/passwd",
    "{{ 7 }}", "' OR 1=1 --", "<script>", "a:b:c", "1e999", "NaN", "true",
]  # fmt: skip

values = st.one_of(st.sampled_from(TELLING), st.text(max_size=40))
#: Percent-encoding as it should be, of bytes that are no UTF-8 (lone surrogates too), or not encoded at all.
encoded = st.one_of(
    values.map(lambda value: quote(value, safe="")),
    st.binary(max_size=20).map(quote_from_bytes),
    st.sampled_from(
        ["%ED%A0%80", "%ff%fe", "%C0%AF", "%", "%z", "%u0041", "+", "a+b%20c", "\xff\xfe", ";", "#"]
    ),
)


def pairs_of(names):
    """Return raw name=value pairs: known names and others, repeated, without ``=``, without a name."""
    name = st.one_of(st.sampled_from(names), st.sampled_from(["", "%00", "__proto__", "a[]", "%ff"]))
    return st.one_of(st.tuples(name, encoded).map("=".join), name, encoded)


def queries(names, good=()):
    """Return raw queries: arbitrary ones, and good ones with a few pairs replaced, repeated or left out."""
    arbitrary = st.lists(pairs_of(names), max_size=12).map("&".join)
    if not good:
        return arbitrary

    @st.composite
    def nearly_good(draw):
        kept = [pair for pair in good if draw(st.integers(0, 9)) > 0]
        return "&".join([*kept, *draw(st.lists(pairs_of(names), max_size=3))])

    return st.one_of(arbitrary, nearly_good(), nearly_good())


headers = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_COOKIE": st.sampled_from(
            [
                "sessionid=" + "x" * 5000,
                "sessionid=\xff\xfe",
                "=;;=;a",
                "__Host-lazyauth-=1.x",
                "__Host-lazyauth-" + "0" * 32 + "=1.",
                "__Host-lazyauth-" + "0" * 32 + "=99999999999999999999." + "a" * 43,
                "__Host-lazyauth-" + "0" * 32 + "=\xb2." + "a" * 43,
                "; ".join(f"__Host-lazyauth-{n:032x}={n}.{'a' * 43}" for n in range(40)),
                "csrftoken=x; messages=x; django_language=\xff",
            ]
        ),
        "HTTP_AUTHORIZATION": st.one_of(
            st.sampled_from(
                [
                    "Basic", "Basic ", "Basic :", "Basic Og==", "Basic /w==", "Basic AA==", "Basic AAAAOgAA",
                    "Basic eDp5", "Basic \xff", "Basic YQBiOmM=",
                    "Bearer", "Bearer ", "Bearer x y", "Bearer \xff", "Bearer ey.ey.ey",
                    "Bearer " + "x" * 10_000, "Digest a=b", "\xff", "DPoP x",
                ]
            ),
            st.binary(max_size=20).map(lambda value: "Bearer " + value.decode("latin-1")),
        ),
        "HTTP_ORIGIN": st.sampled_from(["null", "https://client.example", "https://[", "\xff", "*", "x" * 3000]),
        "HTTP_ACCEPT_LANGUAGE": st.sampled_from(["", "*", "de;q=x", "x" * 600, "\xff", "de-" * 200, "zh-Hant"]),
        "HTTP_X_FORWARDED_FOR": st.sampled_from(["", ",", "x", "::1%25", "1.2.3.4, \xff"]),
        "HTTP_X_FORWARDED_HOST": st.sampled_from(["evil.test", "\xff", "a b"]),
        "REMOTE_ADDR": st.sampled_from(["", "unix:", "::1", "fe80::1%eth0", "1.2.3.4:5", "999.1.1.1"]),
        "HTTP_HOST": st.sampled_from(["auth.example", "auth.example:443", "AUTH.EXAMPLE", "auth.example."]),
        "CONTENT_TYPE": st.sampled_from(
            [
                FORM,
                f"{FORM}; charset=utf-16",
                f"{FORM}; charset=unicode_escape",
                f"{FORM}; charset=\xff",
                "text/plain; charset=raw_unicode_escape",
                "application/json",
                "multipart/form-data",
                "multipart/form-data; boundary=b",
                "multipart/form-data; boundary=\xff",
                "multipart/form-data; boundary=b; charset=utf-7",
                ";",
                "",
            ]
        ),
    },
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"grant_type": "authorization_code"}',
            b'"\\ud800"',
            b"--b\r\n",
            b"--b--",
            b"--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n\xff\xfe\r\n--b--\r\n",
            b"--b\r\nContent-Disposition: form-data; name=\"code\"; filename=\"x\"\r\n\r\nx\r\n--b--\r\n",
            b'--b\r\nContent-Disposition: form-data; name="code"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name*=utf-7''%ff\r\n\r\nx\r\n--b--",
            b"&".join(b"p%d=x" % number for number in range(1100)),
            b"x" * 100_000,
        ]
    ),
)  # fmt: skip


# -- what goes out ---------------------------------------------------------------------------------------


def assert_answer_for_a_person(response):
    """A page that can be read, or a redirect that says where; no stack trace and nothing blank."""
    assert response.status_code < 500, (response.status_code, response.content[:500])
    if response.status_code == 303:
        assert response.headers["Location"]
        assert response.headers["Location"].isascii()
        return
    assert response.headers["Content-Type"].startswith("text/html"), response.headers
    page = BeautifulSoup(response.content, "html.parser")
    assert page.h1 is not None, response.content[:500]
    assert page.h1.get_text(strip=True)
    if response.status_code != 404:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def assert_answer_for_a_client(response):
    """JSON that no cache keeps; an error is an RFC's."""
    assert response.status_code < 500, (response.status_code, response.content[:500])
    if response.status_code == 204:
        return
    assert response.headers["Content-Type"] == "application/json", response.content[:500]
    body = json.loads(response.content or b"{}")
    assert isinstance(body, dict)
    if response.status_code >= 400:
        assert response.headers["Cache-Control"] == "no-store"
        assert "error" in body or "WWW-Authenticate" in response.headers
        # RFC 6749 §5.2 bounds the alphabet of both.
        said = body.get("error", "") + body.get("error_description", "")
        assert all(0x20 <= ord(each) <= 0x7E and each not in '"\\' for each in said), said


def send(browser, path, *, method="GET", query="", body=b"", environ=None):
    environ = {"QUERY_STRING": query.encode("utf-8", "replace").decode("latin-1")} | (environ or {})
    if method in {"GET", "HEAD", "OPTIONS"}:
        return getattr(browser, method.lower())(path, secure=True, **environ)
    content_type = environ.pop("CONTENT_TYPE", FORM)
    return browser.generic(method, path, body, content_type=content_type, secure=True, **environ)


# -- the pages -------------------------------------------------------------------------------------------


@pytest.fixture
def good(client_):
    return client_.authorize_query().split("&")


@pytest.fixture
def person(db):
    return signed_in(make_user())


def test_the_authorization_endpoint_survives_any_query(client_, person):
    """I18: a page, the form of another site, and an answer to the client."""
    good = client_.authorize_query().split("&")
    seen = set()

    @moderate
    @given(query=queries(AUTHORIZE_NAMES, good), environ=headers)
    def anything(query, environ):
        for browser in (make_browser(), person):
            response = send(browser, "/authorize", query=query, environ=environ)
            assert_answer_for_a_person(response)
            seen.add(response.status_code)
        assert_answer_for_a_person(
            send(make_browser(), "/authorize", method="POST", body=query.encode(), environ=environ)
        )

    anything()
    assert seen == {200, 303, 400}


def test_a_redirect_never_leaves_the_registered_uri(client_):
    """RFC 9700 §4.11: whatever else the request says."""
    good = client_.authorize_query(redirect_uri=None, prompt="none").split("&")
    left, stayed = [], []

    @moderate
    @given(redirect_uri=encoded, query=queries(AUTHORIZE_NAMES, good))
    def anything(redirect_uri, query):
        for given_uri in (redirect_uri, quote(REDIRECT_URI + redirect_uri), quote(REDIRECT_URI, safe="")):
            response = send(make_browser(), "/authorize", query=f"{query}&redirect_uri={given_uri}")
            assert_answer_for_a_person(response)
            if response.status_code == 303:
                left.append(response.headers["Location"])
                assert left[-1].startswith((f"{REDIRECT_URI}?error=", "https://upstream.example/"))
            else:
                stayed.append(response.status_code)

    anything()
    assert len(left) > 10
    assert len(stayed) > 10


def test_the_forms_of_a_request_without_a_row_survive_any_post(client_, person):
    """I18: forged, broken and half-right forms."""
    action, fields = form_of(ask(person, client_))
    good = [f"{name}={quote(value)}" for name, value in fields.items()]
    chosen, choice = form_of(ask(person, client_, prompt="select_account"))
    half = [f"{name}={quote(value)}" for name, value in choice.items()]
    good += ["decision=allow"]
    half += ["provider=demo"]
    seen = set()

    @moderate
    @given(
        body=st.one_of(queries(FORM_NAMES, good), queries(FORM_NAMES, half)).map(str.encode),
        junk=bodies,
        environ=headers,
    )
    def anything(body, junk, environ):
        for path in (action, chosen):
            for sent in (body, junk):
                kept = {name: value for name, value in environ.items() if name != "HTTP_COOKIE"}
                response = send(person, path, method="POST", body=sent, environ=kept)
                assert_answer_for_a_person(response)
                seen.add(response.status_code)
            assert_answer_for_a_person(send(make_browser(), path, method="POST", body=body, environ=environ))
            assert_answer_for_a_person(send(person, path, method="PUT", body=body))

    anything()
    assert {303, 400} <= seen


# Django decodes the query with the charset that the request names, before any code of ours runs.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:decoding with:DeprecationWarning")
def test_the_pages_of_a_flow_survive_any_request(client_, settings):
    """I18: with and without the cookie of the flow."""
    settings.LAZYAUTH["PROVIDERS"]["local"] = {"type": "password"}
    browser = make_browser()
    start(browser, client_, provider="local")
    pending = PendingAuthorization.objects.get()
    flow = f"/authorize/{pending.pk}"
    seen = set()
    page = get(browser, flow)
    token = form_of(page)[1]["form_token"]
    own = form_of(get(browser, f"{flow}/local"))[1]
    good = [f"form_token={token}"]
    form = [f"{name}={quote(value)}" for name, value in own.items()]
    paths = [
        flow,
        f"{flow}/local",
        f"{flow}/demo",
        f"{flow}/nobody",
        "/authorize/00000000-0000-0000-0000-000000000000",
        "/authorize/00000000-0000-0000-0000-000000000000/local",
    ]

    @settings_of_many_requests
    @given(
        path=st.sampled_from(paths),
        method=st.sampled_from(["GET", "HEAD", "POST", "POST", "PUT"]),
        query=queries(FORM_NAMES),
        body=st.one_of(
            queries(FORM_NAMES, good).map(str.encode), queries(FORM_NAMES, form).map(str.encode), bodies
        ),
        environ=headers,
        known=st.booleans(),
    )
    def anything(path, method, query, body, environ, known):
        PendingAuthorization.objects.filter(pk=pending.pk).update(
            status=pending.status,
            provider=pending.provider,
            private=pending.private,
            expires_at=pending.expires_at,
        )
        if known:
            environ = {name: value for name, value in environ.items() if name != "HTTP_COOKIE"}
        who = browser if known else make_browser()
        response = send(who, path, method=method, query=query, body=body, environ=environ)
        if method != "HEAD":
            assert_answer_for_a_person(response)
        assert response.status_code < 500
        seen.add(response.status_code)

    anything()
    assert {200, 400, 405} <= seen


settings_of_many_requests = settings(moderate, max_examples=examples(150))


def test_the_callback_survives_any_answer_of_an_upstream(client_, settings):
    """I18: with a state that waits, and without."""
    for provider in settings.LAZYAUTH["PROVIDERS"].values():
        provider["class"] = "tests.web.site.RecordingProvider"
    browser = make_browser()
    seen = set()

    @settings_of_many_requests
    @given(
        query=queries(FORM_NAMES, ["state=STATE", "code=ada"]),
        body=bodies,
        method=st.sampled_from(["GET", "GET", "POST", "DELETE"]),
        provider=st.sampled_from(["demo", "other", "nobody", "demo/"]),
        environ=headers,
    )
    def anything(query, body, method, provider, environ):
        environ = {name: value for name, value in environ.items() if name != "HTTP_COOKIE"}
        upstream = start(browser, client_)
        query = query.replace("STATE", query_of(upstream.headers["Location"])["state"])
        sent = query.encode() if body[:1] != b"-" else body
        response = send(
            browser, f"/callback/{provider}", method=method, query=query, body=sent, environ=environ
        )
        assert_answer_for_a_person(response)
        seen.add(response.status_code)
        PendingAuthorization.objects.all().delete()
        browser.logout()
        browser.cookies.clear()

    anything()
    assert {200, 303, 400, 405} <= seen


# -- the endpoints of clients ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect", "/userinfo"])
def test_the_endpoints_of_clients_survive_any_request(client_, confidential, path):
    """I18: RFC errors in JSON, no-store; a good code among them."""
    tokens = redeem(confidential, code_for(confidential)).json()
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "token": tokens["access_token"],
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
    }
    spent = client_.token_form(code_for(client_))
    refreshing, redeeming = urlencode(form).split("&"), urlencode(spent).split("&")
    seen = set()

    @moderate
    @given(
        form=st.one_of(queries(CLIENT_NAMES, refreshing), queries(CLIENT_NAMES, redeeming)),
        junk=bodies,
        query=st.one_of(st.just(""), queries(CLIENT_NAMES)),
        method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS"]),
        environ=headers,
    )
    def anything(form, junk, query, method, environ):
        for sent in (form.encode(), junk):
            response = send(
                make_browser(), path, method=method, query=query, body=sent, environ=dict(environ)
            )
            assert_answer_for_a_client(response)
            seen.add(response.status_code)
        plain = send(make_browser(), path, method="POST", body=form.encode())
        assert_answer_for_a_client(plain)
        seen.add(plain.status_code)

    anything()
    # Which examples are drawn depends on what else was imported: one of each kind is asked for by name.
    wrong = {**form, "client_secret": "wrong"}
    plain = [
        ("OPTIONS", {}),
        ("GET", {}),
        ("POST", wrong),
        ("POST", {**form, "x": "y" * 20_000}),
        ("POST", form),
    ]
    for method, sent in plain:
        response = send(make_browser(), path, method=method, body=urlencode(sent).encode())
        assert_answer_for_a_client(response)
        seen.add(response.status_code)
    assert {400, 401, 405, 204} - {400 if path == "/userinfo" else 0} <= seen
    assert 200 in seen or path in {"/token", "/userinfo"}


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect", "/userinfo"])
def test_the_endpoints_of_clients_survive_any_proof_and_assertion(confidential, path):
    """I18: parts of good ones among them."""
    key = ClientKey("ES256")
    give_keys(confidential.client_id, key)
    proof = key_of("ES256").proof(f"https://auth.example{path}")
    words = st.one_of(st.sampled_from(TELLING), st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))

    def torn(good):
        """Return what is nearly *good*: cut, with another part, twice, or too long."""
        return st.one_of(
            words,
            st.just(good),
            st.integers(0, len(good)).map(lambda end: good[:end]),
            st.tuples(st.integers(0, 2), words).map(
                lambda drawn: ".".join(
                    drawn[1] if number == drawn[0] else part for number, part in enumerate(good.split("."))
                )
            ),
            st.sampled_from([f"{good}, {good}", good + "A" * 9000, good.upper(), good + "."]),
        )

    @moderate
    @given(st.data())
    def anything(data):
        assertion = key.assertion(confidential.client_id)
        form = {
            "grant_type": data.draw(st.sampled_from(["client_credentials", "authorization_code"])),
            "token": "x",
            "client_assertion_type": data.draw(st.one_of(st.just(ASSERTION_TYPE), words)),
            "client_assertion": data.draw(torn(assertion)),
        }
        body = urlencode(form, errors="replace").encode()
        environ = {"HTTP_DPOP": data.draw(torn(proof)), "HTTP_AUTHORIZATION": data.draw(torn("DPoP x"))}
        assert_answer_for_a_client(send(make_browser(), path, method="POST", body=body, environ=environ))

    anything()


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/.well-known/oauth-protected-resource",
    ],
)
def test_the_documents_survive_any_request(db, path):
    """I18: and say the same whatever is asked."""
    document = get(make_browser(), path).content

    @moderate
    @given(
        query=queries(CLIENT_NAMES), method=st.sampled_from(["GET", "GET", "POST", "PUT"]), environ=headers
    )
    def anything(query, method, environ):
        response = send(make_browser(), path, method=method, query=query, environ=dict(environ))
        assert_answer_for_a_client(response)
        assert (response.status_code, response.content) == (200, document) or method != "GET"

    anything()


def test_no_path_below_the_well_known_ones_breaks(db):
    """I18: the path is a stranger's to choose."""

    @moderate
    @given(
        place=st.sampled_from(
            ["oauth-authorization-server", "openid-configuration", "oauth-protected-resource"]
        ),
        path=st.one_of(
            st.text(max_size=30), st.sampled_from(["//", "..", "%00", "\x00", "é", "http://[", "x" * 3000])
        ),
    )
    def anything(place, path):
        response = get(make_browser(), f"/.well-known/{place}/{quote(path)}")
        assert response.status_code in {200, 404}
        if response.status_code == 200 and path.strip("/"):
            # A document about a resource of ours, at the most; never about another issuer.
            assert response.json().get("authorization_servers", ["https://auth.example"]) == [
                "https://auth.example"
            ]

    anything()


def test_clients_of_any_name_and_address_break_no_page(db):
    """I18: what a stranger registered is text."""
    number = iter(range(10_000))

    @moderate
    @given(
        name=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60),
        path=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30),
        state=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60),
    )
    def anything(name, path, state):
        client = register_client(
            f"c{next(number)}", name=name, redirect_uris=f"https://client.example/{path}"
        )
        response = ask(make_browser(), client, state=state)
        assert_answer_for_a_person(response)
        answer = ask(make_browser(), client, state=state, prompt="none")
        assert_answer_for_a_person(answer)
        if answer.status_code == 303:
            assert answer.headers["Location"].startswith(f"https://client.example/{path}")

    anything()
