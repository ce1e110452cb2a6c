"""requests-oauthlib, the client of many a script: credentials from an operator, no registration, no discovery."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus

import pytest
import requests
from oauthlib.oauth2 import InvalidClientIdError, OAuth2Error
from requests_oauthlib import OAuth2Session

from tests.conftest import register

from .conftest import HARD_SECRET, REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def endpoints(issuer) -> dict[str, str]:
    return requests.get(f"{issuer.base}/.well-known/openid-configuration", timeout=20).json()


def client_of(method: str, *, secret: str = HARD_SECRET, hashed: bool = True) -> dict[str, object]:
    """Enter a client, as an operator does, and return how ``fetch_token`` is told to authenticate it."""
    public = method == "none"
    register(
        client_id="script",
        client_type="public" if public else "confidential",
        redirect_uris=REDIRECT_URI,
        client_secret="" if public else secret,
        hash_client_secret=hashed and not public,
    )
    return {
        "none": {"include_client_id": True},
        "client_secret_basic": {"client_secret": secret},
        "client_secret_post": {"client_secret": secret, "include_client_id": True},
    }[method]


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_runs_the_whole_flow_with_a_secret_that_form_encoding_would_change(issuer, ada, endpoints, method):
    credentials = client_of(method)
    with OAuth2Session("script", redirect_uri=REDIRECT_URI, scope="openid email", pkce="S256") as session:
        url, _state = session.authorization_url(endpoints["authorization_endpoint"])
        answer = ada.answer(url)
        token = session.fetch_token(endpoints["token_endpoint"], authorization_response=answer, **credentials)
        assert set(token["scope"]) == {"openid", "email"}
        assert session.get(endpoints["userinfo_endpoint"]).json()["email"] == "ada@people.example"
        assert session.get(issuer.api).status_code == 200
        secret = credentials.get("client_secret")
        how = {"auth": ("script", secret)} if method == "client_secret_basic" else {"client_id": "script"}
        if method == "client_secret_post":
            how["client_secret"] = secret
        renewed = session.refresh_token(endpoints["token_endpoint"], **how)
        assert renewed["access_token"] != token["access_token"]
        with pytest.raises(OAuth2Error) as replayed:
            session.fetch_token(endpoints["token_endpoint"], authorization_response=answer, **credentials)
        assert replayed.value.error == "invalid_grant"


def test_a_client_that_names_no_scope_gets_the_default(ada, endpoints):
    """RFC 6749 §3.3."""
    credentials = client_of("none")
    with OAuth2Session("script", redirect_uri=REDIRECT_URI, pkce="S256") as session:
        url, _state = session.authorization_url(endpoints["authorization_endpoint"])
        assert "scope" not in url
        token = session.fetch_token(
            endpoints["token_endpoint"], authorization_response=ada.answer(url), **credentials
        )
    assert set(token["scope"]) == {"openid", "profile", "email"}


@pytest.mark.parametrize("hashed", [True, False], ids=["stretched", "in plain"])
def test_a_basic_header_is_read_form_encoded_and_as_it_is(endpoints, hashed):
    """RFC 6749 §2.3.1 wants it encoded; curl and requests do not encode. A third reading is none of the client's."""
    client_of("client_secret_basic", hashed=hashed)

    def authenticate(sent: str) -> requests.Response:
        header = base64.b64encode(f"script:{sent}".encode()).decode()
        return requests.post(
            endpoints["introspection_endpoint"],
            data={"token": "of nobody"},
            headers={"Authorization": f"Basic {header}"},
            timeout=20,
        )

    # First as it is: what is kept of a secret after its first use has to be the secret itself.
    for sent in (HARD_SECRET, quote_plus(HARD_SECRET), HARD_SECRET):
        answer = authenticate(sent)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    for sent in (
        quote_plus(quote_plus(HARD_SECRET)),
        HARD_SECRET.replace("+", " "),
        "",
        "%00",
        HARD_SECRET + "+",
    ):
        answer = authenticate(sent)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_wrong_secret_is_told_as_the_library_expects_it(ada, endpoints):
    """RFC 6749 §5.2."""
    client_of("client_secret_basic")
    with OAuth2Session("script", redirect_uri=REDIRECT_URI, scope="openid", pkce="S256") as session:
        url, _state = session.authorization_url(endpoints["authorization_endpoint"])
        answer = ada.answer(url)
        with pytest.raises(OAuth2Error) as refused:
            session.fetch_token(
                endpoints["token_endpoint"], authorization_response=answer, client_secret="wrong+secret"
            )
        assert refused.value.error == "invalid_client"
        assert not isinstance(refused.value, InvalidClientIdError)


def test_a_scope_that_nobody_knows_is_refused_at_the_redirect_uri(ada, endpoints):
    """RFC 6749 §4.1.2.1."""
    credentials = client_of("none")
    with OAuth2Session("script", redirect_uri=REDIRECT_URI, scope="openid nobody", pkce="S256") as session:
        url, _state = session.authorization_url(endpoints["authorization_endpoint"])
        with pytest.raises(OAuth2Error) as refused:
            session.fetch_token(
                endpoints["token_endpoint"], authorization_response=ada.answer(url), **credentials
            )
    assert refused.value.error == "invalid_scope"
