"""Authlib's OAuth client with what the registration endpoint answered; registration itself it leaves to HTTP."""

from __future__ import annotations

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client

from .conftest import REDIRECT_URI

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_runs_the_whole_flow_as_it_was_registered(site, person, method):
    server = httpx.get(f"{site}/.well-known/openid-configuration", trust_env=False).json()
    metadata = {"redirect_uris": [REDIRECT_URI], "client_name": "Stock", "token_endpoint_auth_method": method}
    registered = httpx.post(server["registration_endpoint"], json=metadata, trust_env=False)
    assert registered.status_code == 201
    told = registered.json()
    with OAuth2Client(
        client_id=told["client_id"],
        client_secret=told.get("client_secret"),
        token_endpoint_auth_method=told["token_endpoint_auth_method"],
        redirect_uri=REDIRECT_URI,
        scope=told["scope"],
        code_challenge_method="S256",
        revocation_endpoint_auth_method=told["token_endpoint_auth_method"],
        trust_env=False,
    ) as client:
        verifier = generate_token(48)
        url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
        token = client.fetch_token(
            server["token_endpoint"],
            authorization_response=person.answer(url),
            code_verifier=verifier,
            state=state,
        )
        assert token["scope"] == told["scope"]
        info = client.get(server["userinfo_endpoint"])
        assert info.json()["email"] == "ada@people.example"
        renewed = client.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["access_token"] != token["access_token"]
        revoked = client.revoke_token(server["revocation_endpoint"], token=renewed["access_token"])
        assert revoked.status_code == 200
        assert client.get(server["userinfo_endpoint"]).status_code == 401
    own = {"Authorization": f"Bearer {told['registration_access_token']}"}
    gone = httpx.delete(told["registration_client_uri"], headers=own, trust_env=False)
    assert gone.status_code == 204
