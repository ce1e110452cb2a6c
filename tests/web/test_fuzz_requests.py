"""I18: no input yields a 5xx at the ways that an authorization request may come: pushed, by its URN, and signed."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.authorize import pushed as room
from django_lazyauth.kit.crypto.site_keys import keys_for
from django_lazyauth.kit.sealed_text import seal
from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, make_browser
from tests.support.pushes import PREFIX, link, parameters, pushed, signed, signed_link

from .test_fuzz import (
    AUTHORIZE_NAMES,
    CLIENT_NAMES,
    assert_answer_for_a_client,
    assert_answer_for_a_person,
    bodies,
    headers,
    moderate,
    queries,
    send,
)

pytestmark = pytest.mark.django_db

NAMES = [*AUTHORIZE_NAMES, *CLIENT_NAMES, "dpop_jkt"]
KEY = ClientKey("ES256")
#: What a claim of a signed request may hold.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _signed_ones_too(lazyauth):
    lazyauth(REQUEST_OBJECTS=True)


@pytest.fixture
def signer(db):
    register(client_id="signer")
    give_keys("signer", KEY, token_endpoint_auth_method="none")
    return OAuthClient("signer")


def test_pushes_of_any_kind_are_answered(client_):
    """RFC 9126 §2.3: an error of an RFC in JSON, or a URN."""
    good = client_.authorize_query().split("&")
    seen = set()

    @moderate
    @given(
        form=queries(NAMES, good),
        junk=bodies,
        query=st.one_of(st.just(""), queries(NAMES)),
        method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "OPTIONS"]),
        environ=headers,
    )
    def anything(form, junk, query, method, environ):
        for sent in (form.encode(), junk):
            answer = send(
                make_browser(), "/par", method=method, query=query, body=sent, environ=dict(environ)
            )
            assert_answer_for_a_client(answer)
            seen.add(answer.status_code)
        answer = send(make_browser(), "/par", method="POST", body=form.encode())
        assert_answer_for_a_client(answer)
        seen.add(answer.status_code)

    anything()
    # Which examples are drawn depends on what else was imported: one of each kind is asked for by name.
    for method, body in (("GET", b""), ("POST", b"client_id=nobody"), ("POST", "&".join(good[:1]).encode())):
        answer = send(make_browser(), "/par", method=method, body=body)
        assert_answer_for_a_client(answer)
        seen.add(answer.status_code)
    assert {400, 401, 405} <= seen


def test_urns_of_any_kind_get_a_page(client_):
    """A page, or the way that the pushed request leads."""
    good = pushed(client_)

    @moderate
    @given(
        at=st.integers(0, len(good) - 1),
        cut=st.integers(0, 40),
        put=st.text(max_size=20),
        query=st.one_of(st.just(""), queries(AUTHORIZE_NAMES)),
        environ=headers,
    )
    def anything(at, cut, put, query, environ):
        urn = good[:at] + put + good[at + cut :]
        sent = urlencode({"client_id": client_.client_id, "request_uri": urn}) + (
            "&" + query if query else ""
        )
        answer = send(make_browser(), "/authorize", query=sent, environ=dict(environ))
        assert_answer_for_a_person(answer)
        sent = urlencode({"client_id": client_.client_id, "request_uri": PREFIX + put})
        assert_answer_for_a_person(send(make_browser(), "/authorize", query=sent))

    anything()


def test_what_was_sealed_here_is_checked_anew(client_):
    """Whoever could seal anything at all still gets no 5xx: every parameter is checked when the URN is opened."""
    secret = keys_for(room.PURPOSE.encode())[0].hex()

    @moderate
    @given(query=queries(AUTHORIZE_NAMES, client_.authorize_query().split("&")))
    def anything(query):
        carried = {"p": query, "e": 9_999_999_999, "s": False}
        sealed = seal(json.dumps(carried), secret=secret, purpose=room.PURPOSE, place=client_.client_id)
        urn = PREFIX + sealed.removeprefix(room.VERSION).rstrip("=")
        answer = make_browser().get(link(client_.client_id, urn), secure=True)
        assert_answer_for_a_person(answer)

    anything()


def test_signed_requests_of_any_content_get_a_page(signer):
    """The client's own key may sign anything."""
    names = st.sampled_from([*AUTHORIZE_NAMES, "dpop_jkt", "iss", "aud", "exp", "iat", "nbf", "jti", "sub"])

    @moderate
    @given(claims=st.dictionaries(names | st.text(max_size=10), json_values, max_size=6))
    def anything(claims):
        # No claim, but an argument of the function below.
        claims.pop("header", None)
        try:
            request = signed(signer, KEY, **claims)
        except (UnicodeEncodeError, ValueError):
            # A lone surrogate, which no JSON in UTF-8 holds.
            return
        assert_answer_for_a_person(make_browser().get(signed_link(signer, request), secure=True))
        form = urlencode(parameters(signer) | {"request": request}).encode()
        assert_answer_for_a_client(send(make_browser(), "/par", method="POST", body=form))

    anything()


def test_what_is_no_signed_request_gets_a_page(signer):
    parts = signed(signer, KEY).split(".")

    @moderate
    @given(which=st.integers(0, 2), put=st.binary(max_size=60), sent=st.text(max_size=60))
    def anything(which, put, sent):
        torn = [*parts]
        torn[which] = base64.urlsafe_b64encode(put).decode().rstrip("=")
        for request in (".".join(torn), sent):
            query = urlencode({"client_id": "signer", "request": request})
            assert_answer_for_a_person(send(make_browser(), "/authorize", query=query))

    anything()
