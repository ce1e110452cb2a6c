"""I18: no input yields a 5xx, whatever a stranger sends to the registration endpoints.

``LAZYAUTH_TEST_FUZZ=20000`` sends that many requests; without it, enough to notice a slip.
"""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients.conftest import CONFIDENTIAL, PUBLIC, Registrar
from tests.support.examples import examples

pytestmark = pytest.mark.django_db

TOTAL = int(os.environ.get("LAZYAUTH_TEST_FUZZ", examples(600)))
PATIENT = settings(
    max_examples=max(10, TOTAL // 5),
    deadline=None,
    derandomize="LAZYAUTH_TEST_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: Longer than any other test, when all are sent.
LONG = pytest.mark.timeout(max(120, TOTAL // 5))

MEMBERS = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
    "scope",
    "jwks",
    "jwks_uri",
    "software_id",
    "software_version",
    "application_type",
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "subject_type",
    "token_endpoint_auth_signing_alg",
    "token_endpoint_auth_methods_supported",
    "dpop_bound_access_tokens",
    "default_max_age",
    "default_acr_values",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "request_object_signing_alg",
    "client_name#ja",
    "tos_uri#",
    "client_id",
    "client_secret",
]
#: Every code point, NUL and lone surrogates among them; and what has confused parsers before.
TEXT = st.one_of(
    st.text(st.characters()),
    st.sampled_from(
        [
            "\x00",
            "\ud800",
            "a\udfffb",
            "https://[",
            "http://[::1",
            "https://client.example:x/",
            "https://client.example:99999/",
            "https://\u212a.example/",
            "https://client.example/cb",
            "https://xn--\uff0e/",
            "javascript:alert(1)",
            "com.example:/cb",
            "%zz",
            "\u202e",
            "x" * 5000,
        ]
    ),
)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(LEAF, lambda one: st.lists(one) | st.dictionaries(TEXT, one), max_leaves=12)
URIS = st.lists(TEXT, max_size=12)
DOCUMENT = st.one_of(
    JSON,
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
    st.fixed_dictionaries({"redirect_uris": URIS}, optional=dict.fromkeys(MEMBERS[1:], JSON)),
    st.fixed_dictionaries(
        {"redirect_uris": st.just(PUBLIC["redirect_uris"])}, optional=dict.fromkeys(MEMBERS[1:], TEXT)
    ),
)
METHODS = st.sampled_from(["GET", "PUT", "DELETE", "POST", "PATCH", "HEAD", "OPTIONS"])


@pytest.fixture(autouse=True)
def _room_for_all(lazyauth):
    """What gets through is registered: the limit per network would end the search early."""
    lazyauth(REGISTRATIONS_PER_NETWORK=10**9, MAX_UNUSED_CLIENTS=50)


def is_sound(answer, *, body: bytes = b"") -> None:
    assert answer.status_code < 500, (answer.status_code, answer.content, body[:2000])
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.status_code >= 400 and answer.content:
        assert answer.json()["error"]


@LONG
def test_documents_of_any_shape_are_answered(registrar):
    @PATIENT
    @given(DOCUMENT)
    def send(document):
        body = json.dumps(document).encode()
        is_sound(registrar.send("POST", "/register/", body=body), body=body)

    send()


@LONG
def test_bodies_of_any_bytes_are_answered(registrar):
    @PATIENT
    @given(
        st.binary(),
        st.sampled_from(["application/json", "application/json; charset=x", "text/html", "a", "", "a/b;c"]),
        METHODS,
    )
    def send(body, content_type, method):
        is_sound(registrar.send(method, "/register/", body=body, content_type=content_type), body=body)

    send()


@LONG
def test_replacements_of_any_shape_are_answered(registrar):
    client = registrar.registered(CONFIDENTIAL)
    kept = {"client": client}

    @PATIENT
    @given(DOCUMENT)
    def send(document):
        body = json.dumps(document).encode()
        answer = registrar.manage("PUT", kept["client"], body=body)
        is_sound(answer, body=body)
        if answer.status_code == 200:
            kept["client"] = answer.json()

    send()


@LONG
def test_any_path_and_token_is_answered(registrar):
    from urllib.parse import quote

    @PATIENT
    @given(st.text(st.characters(), min_size=1), st.text(st.characters()), METHODS)
    def send(client_id, token, method):
        path = f"/register/{quote(client_id, safe='', errors='surrogatepass')}"
        header = token.encode("utf-8", "surrogatepass").decode("latin-1")
        answer = registrar.send(method, path, PUBLIC, token=header)
        assert answer.status_code in (204, 401, 404, 405), (answer.status_code, client_id, token)

    send()


@LONG
def test_what_the_openapi_description_suggests_is_answered(registrar, settings):
    """Schemathesis makes cases of the description, such that fit it and such that do not."""
    pytest.importorskip("drf_spectacular")
    schemathesis = pytest.importorskip("schemathesis")
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    from drf_spectacular.generators import SchemaGenerator
    from schemathesis import GenerationMode

    from django_lazyauth.api import openapi  # noqa: F401 - describes the views

    description = SchemaGenerator(urlconf="tests.urls").get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(description)))
    cases = st.one_of(
        [
            operation.as_strategy(generation_mode=mode)
            for path, methods in (
                ("/register/", ["POST"]),
                ("/register/{client_id}/", ["GET", "PUT", "DELETE"]),
            )
            for operation in [schema[path][method] for method in methods]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            if mode is GenerationMode.POSITIVE or operation.method.upper() in ("POST", "PUT")
        ]
    )
    client = registrar.registered(CONFIDENTIAL)

    @PATIENT
    @given(cases)
    def send(case):
        body = b""
        if case.body is not None and not isinstance(case.body, type(schemathesis.core.NOT_SET)):
            body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        path = "/register/" if "{" not in case.path else f"/register/{client['client_id']}/"
        token = client["registration_access_token"] if case.method == "PUT" else None
        answer = registrar.send(case.method, path, body=body, token=token)
        is_sound(answer, body=body)

    send()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b'{"redirect_uris": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"client_name": {"a": "b"}, "redirect_uris": {"0": "https://client.example/cb"}}',
        b'{"redirect_uris": ["https://client.example/cb"], "client_name": "\\u0000"}',
        b'{"redirect_uris": ["https://client.example/cb"], "client_name": "\\ud800"}',
        b'{"redirect_uris": ["https://client.example/cb"], "jwks": {"keys": [{"kty": "RSA", "\\u0000": "x"}]}}',
        b'{"redirect_uris": ["https://client.example/cb"], "client_name": "' + b"x" * 3_000_000 + b'"}',
        b'{"a": ' + b"9" * 60_000 + b"}",
        b'{"a": 1e999}',
    ],
    ids=["deep", "deep-inside", "dict-for-string", "nul", "surrogate", "nul-key", "3-mb", "digits", "inf"],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_known_monsters_are_refused(registrar, method, body):
    if method == "POST":
        answer = registrar.send("POST", "/register/", body=body)
    else:
        answer = registrar.manage("PUT", registrar.registered(CONFIDENTIAL), body=body)
    assert answer.status_code in (400, 413)
    is_sound(answer)


def test_a_length_that_is_no_number_is_refused(registrar):
    answer = Registrar().browser.generic(
        "POST", "/register/", b"{}", content_type="application/json", secure=True, CONTENT_LENGTH="many"
    )
    assert answer.status_code == 400
