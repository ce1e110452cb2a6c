"""Userinfo (OpenID Connect Core §5.3.2) and introspection (RFC 9701) as signed answers, which are no tokens."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import Application

from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.tokens.logout_token import read_hint
from tests.support.journey import ISSUER, OAuthClient, get, make_browser, post_form
from tests.tokens.conftest import decoded, sign_in

from .test_introspection import API, api  # noqa: F401 - a fixture
from .test_signing_keys import registered, three  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

SIGNED = "application/token-introspection+jwt"


def introspect(client, token, accept=SIGNED, **form):
    form = {"token": token, "client_id": client.client_id, "client_secret": client.client_secret, **form}
    return post_form(make_browser(), "/introspect", form, HTTP_ACCEPT=accept)


def userinfo(token):
    return get(make_browser(), "/userinfo", HTTP_AUTHORIZATION=f"Bearer {token}")


# -- userinfo --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_userinfo_is_signed_as_the_client_registered(three, algorithm):  # noqa: F811 - the fixture
    """OpenID Connect Registration §2: echoed, and with ``iss`` and ``aud`` of this client."""
    body = registered(userinfo_signed_response_alg=algorithm).json()
    assert body["userinfo_signed_response_alg"] == algorithm
    tokens = sign_in(OAuthClient(body["client_id"]))
    answer = userinfo(tokens["access_token"])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/jwt")
    header, claims = decoded(answer.content.decode())
    assert header["alg"] == algorithm
    assert (claims["iss"], claims["aud"]) == (ISSUER, body["client_id"])
    assert claims["sub"] == str(get_user_model().objects.get().pk)
    assert "exp" not in claims


def test_a_signed_userinfo_is_no_id_token(three):  # noqa: F811 - the fixture
    """RFC 8725 §3.11: a hint of a person is an ID token, which has ``exp``."""
    body = registered(userinfo_signed_response_alg="ES256").json()
    tokens = sign_in(OAuthClient(body["client_id"]))
    assert read_hint(tokens["id_token"]) is not None
    signed = userinfo(tokens["access_token"]).content.decode()
    assert read_hint(signed) is None
    assert userinfo(signed).status_code == 401


def test_a_client_that_registered_nothing_reads_json(client_):
    answer = userinfo(sign_in(client_)["access_token"])
    assert answer.headers["Content-Type"] == "application/json"
    assert "iss" not in answer.json()


def test_a_refusal_of_userinfo_is_json(three):  # noqa: F811 - the fixture
    """RFC 6750 §3.1: an error is read without keys."""
    answer = userinfo("unknown")
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/json")


# -- introspection ---------------------------------------------------------------------------------------------


def test_introspection_is_signed_for_the_caller_who_asks_for_it(client_, api):  # noqa: F811 - the fixture
    """RFC 9701 §5: ``aud`` is the caller, and neither ``sub`` nor ``exp`` stands beside the description."""
    token = sign_in(client_, resources=(API,))["access_token"]
    answer = introspect(api, token)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, SIGNED)
    assert answer.headers["Cache-Control"] == "no-store"
    header, claims = decoded(answer.content.decode())
    assert header["typ"] == "token-introspection+jwt"
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
    assert (claims["iss"], claims["aud"]) == (ISSUER, "api")
    assert claims["token_introspection"] == introspect(api, token, accept="application/json").json()


def test_what_the_caller_may_not_know_is_signed_as_inactive(client_, api):  # noqa: F811 - the fixture
    """RFC 9701 §5, RFC 7662 §2.2."""
    token = sign_in(client_)["access_token"]
    assert decoded(introspect(api, token).content.decode())[1]["token_introspection"] == {"active": False}


@pytest.mark.parametrize(
    ("accept", "is_signed"),
    [
        (f"{SIGNED}, application/json;q=0.5", True),
        (f"application/json, {SIGNED};q=0.5", True),
        (SIGNED.upper(), True),
        (f"{SIGNED};q=0", False),
        (f"{SIGNED};q=0.000, application/json", False),
        ("*/*", False),
        ("application/*", False),
        ("application/jwt", False),
        ("", False),
    ],
)
def test_only_a_request_that_names_the_signed_form_gets_it(client_, api, accept, is_signed):  # noqa: F811 - the fixture
    """RFC 9701 §4, RFC 9110 §12.5.1."""
    token = sign_in(client_, resources=(API,))["access_token"]
    expected = SIGNED if is_signed else "application/json"
    assert introspect(api, token, accept).headers["Content-Type"] == expected


def test_introspection_is_signed_as_the_client_registered(client_, api, three):  # noqa: F811 - the fixture
    """RFC 9701 §6: RS256 where the client says nothing."""
    token = sign_in(client_, resources=(API,))["access_token"]
    assert decoded(introspect(api, token).content.decode())[0]["alg"] == "RS256"
    ClientRegistration.objects.create(
        client=Application.objects.get(client_id="api"),
        source=ClientSource.ELSEWHERE,
        metadata={"introspection_signed_response_alg": "EdDSA"},
    )
    assert decoded(introspect(api, token).content.decode())[0]["alg"] == "EdDSA"


def test_a_signed_description_opens_nothing(client_, api):  # noqa: F811 - the fixture
    """RFC 9701 §8.1: it is no access token, and no hint."""
    token = sign_in(client_, resources=(API,))["access_token"]
    signed = introspect(api, token).content.decode()
    assert userinfo(signed).status_code == 401
    assert read_hint(signed) is None
    assert introspect(api, signed, accept="application/json").json() == {"active": False}


def test_a_refusal_of_introspection_is_json(api):  # noqa: F811 - the fixture
    """RFC 7662 §2.3."""
    answer = introspect(api, "x", client_secret="wrong")
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/json")
