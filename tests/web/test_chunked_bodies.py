"""Bodies without a length (RFC 9112 §7.1), as .NET and whatever reads a stream send them, or with one of no number."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.urls import resolve

from tests.clients.conftest import PUBLIC
from tests.support.journey import make_browser, sign_in

pytestmark = pytest.mark.django_db

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BODIES = {
    "/token": (FORM, b"grant_type=refresh_token&refresh_token=x&client_id=public-client"),
    "/par": (FORM, b"client_id=public-client"),
    "/register": (JSON, json.dumps(PUBLIC).encode()),
}


def sent_in_chunks(path: str, content_type: str, body: bytes):
    """Return the answer to a request as an ASGI server hands it over."""
    headers = {"host": "auth.example", "transfer-encoding": "chunked", "content-type": content_type}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "scheme": "https",
        "client": ["192.0.2.7", 1],
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return resolve(path).func(ASGIRequest(scope, BytesIO(body)))


def test_a_client_registers_with_a_body_in_chunks():
    answer = sent_in_chunks("/register", *BODIES["/register"])
    assert answer.status_code == 201
    assert answer.data["redirect_uris"] == PUBLIC["redirect_uris"]


def test_a_form_in_chunks_is_read_and_bounded(application):
    assert json.loads(sent_in_chunks("/token", *BODIES["/token"]).content)["error"] == "invalid_grant"
    assert sent_in_chunks("/par", FORM, b"client_id=public-client&state=" + b"x" * 65536).status_code == 413
    assert sent_in_chunks("/register", JSON, b" " * 65536 + b"{}").status_code == 413


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_the_server_keeps_back_is_411(path):
    """RFC 9110 §15.5.12. WSGI has no word for a body without a length, so Django reads none."""
    content_type, _body = BODIES[path]
    answer = make_browser().generic(
        "POST", path, b"", content_type=content_type, secure=True, headers={"transfer-encoding": "chunked"}
    )
    assert (answer.status_code, answer.json()["error"]) == (411, "invalid_request")
    assert "Content-Length" in answer.json()["error_description"]


#: Endpoints, an endpoint of REST framework with a session, and pages.
PLACES = [
    *BODIES,
    "/introspect",
    "/userinfo",
    "/identities",
    "/authorize/choose",
    "/logout",
    "/account/sessions",
]


@pytest.mark.parametrize("length", ["many", "-1", "+3", "1_0", "1.0", "\u00b2", "9" * 5000])
@pytest.mark.parametrize("path", PLACES)
def test_a_length_that_is_no_number_of_bytes_is_a_400(client_, path, length):
    """I18, RFC 9112 §6.3: not every server refuses it before we do."""
    browser = make_browser()
    sign_in(browser, client_, subject="ada")
    content_type, body = BODIES.get(path, (FORM, b"x=y"))
    answer = browser.generic(
        "POST", path, body, content_type=content_type, secure=True, CONTENT_LENGTH=length
    )
    assert answer.status_code == 400, answer.content
    assert b"cannot be read" in answer.content
