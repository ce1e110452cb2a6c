"""Clients of other projects that act for a person (RFC 8693): for an audience, and for an upstream's token."""

from __future__ import annotations

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client as AuthlibClient
from requests_oauth2client import OAuth2Client

from django_lazyauth.models import UpstreamToken
from django_lazyauth.vault import store
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.delegation import ACCESS_TOKEN, API, GRANT, TOOL, confidential
from tests.support.journey import OAuthClient, query_of
from tests.tokens.conftest import decoded

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True)]

UPSTREAM = "upstream:demo"


@pytest.fixture
def token(issuer, ada, lazyauth):
    """The person's token, for the tool server."""
    confidential("tool")
    register(client_id="public-client", redirect_uris=REDIRECT_URI)
    policy = {"audiences": [API], "scopes": ["email"], "upstreams": {"demo": "email"}}
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL]}, TOKEN_EXCHANGE={"tool": policy})
    client = OAuthClient("public-client", redirect_uri=REDIRECT_URI)
    answer = ada.answer(f"{issuer.base}/authorize?{client.authorize_query(resource=TOOL)}")
    form = client.token_form(query_of(answer)["code"])
    return httpx.post(f"{issuer.base}/token", data=form, trust_env=False).json()["access_token"]


def upstreams_token() -> str:
    row = UpstreamToken.objects.get()
    return store.get(row.session_id, "demo", user_id=row.user_id, client_id=row.client_id).access_token


def acts(given: str) -> None:
    claims = decoded(given)[1]
    assert (claims["aud"], claims["act"], claims["scope"]) == (API, {"sub": "tool"}, "email")


@pytest.mark.services
@pytest.mark.parametrize("binds", ["no", "yes"])
def test_openid_client(node, issuer, ada, token, binds):
    def run(audience):
        given = node.run(
            "openid_client_exchange.mjs",
            issuer.url,
            "tool",
            CONFIDENTIAL_SECRET,
            token,
            audience,
            binds,
            answer=lambda asked: ada.answer(asked["ask"]),
        )
        assert given["issued_token_type"] == ACCESS_TOKEN
        return given

    given = run(API)
    acts(given["access_token"])
    assert ("cnf" in decoded(given["access_token"])[1]) is (binds == "yes")
    if binds == "no":
        assert run(UPSTREAM)["access_token"] == upstreams_token()


@pytest.mark.slow
def test_requests_oauth2client(issuer, token):
    client = OAuth2Client(
        f"{issuer.base}/token", client_id="tool", client_secret=CONFIDENTIAL_SECRET, testing=True
    )
    given = client.token_exchange(subject_token=token, subject_token_type="access_token", audience=API)
    acts(str(given.access_token))
    given = client.token_exchange(subject_token=token, subject_token_type="access_token", audience=UPSTREAM)
    assert str(given.access_token) == upstreams_token()


@pytest.mark.slow
def test_authlib(issuer, token):
    with AuthlibClient("tool", CONFIDENTIAL_SECRET, trust_env=False) as client:
        form = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
        acts(client.fetch_token(f"{issuer.base}/token", audience=API, **form)["access_token"])
        given = client.fetch_token(f"{issuer.base}/token", audience=UPSTREAM, **form)
        assert given["access_token"] == upstreams_token()
