"""Authlib: its OAuth client with what the registration endpoint answered, and its checks of an ID token.

Registration itself it leaves to HTTP, the signature to joserfc.
"""

from __future__ import annotations

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jwt
from joserfc.jwk import KeySet

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def get(url: str, **kwargs) -> httpx.Response:
    return httpx.get(url, trust_env=False, **kwargs)


def client_of(issuer, method: str) -> tuple[OAuth2Client, dict, dict]:
    """Register; return the client, the server's metadata and what was registered."""
    server = get(f"{issuer.base}/.well-known/openid-configuration").json()
    metadata = {"redirect_uris": [REDIRECT_URI], "client_name": "Stock", "token_endpoint_auth_method": method}
    registered = httpx.post(server["registration_endpoint"], json=metadata, trust_env=False)
    assert registered.status_code == 201
    told = registered.json()
    client = OAuth2Client(
        client_id=told["client_id"],
        client_secret=told.get("client_secret"),
        token_endpoint_auth_method=told["token_endpoint_auth_method"],
        redirect_uri=REDIRECT_URI,
        scope=told["scope"],
        code_challenge_method="S256",
        revocation_endpoint_auth_method=told["token_endpoint_auth_method"],
        trust_env=False,
    )
    return client, server, told


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_runs_the_whole_flow_as_it_was_registered(issuer, ada, method):
    client, server, told = client_of(issuer, method)
    with client:
        verifier = generate_token(48)
        url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
        token = client.fetch_token(
            server["token_endpoint"],
            authorization_response=ada.answer(url),
            code_verifier=verifier,
            state=state,
        )
        assert token["scope"] == told["scope"]
        info = client.get(server["userinfo_endpoint"])
        assert info.json()["email"] == "ada@people.example"
        renewed = client.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["access_token"] != token["access_token"]
        if method != "none":
            described = client.introspect_token(
                server["introspection_endpoint"], token=renewed["access_token"]
            )
            assert described.json()["active"] is True
        revoked = client.revoke_token(server["revocation_endpoint"], token=renewed["access_token"])
        assert revoked.status_code == 200
        assert client.get(server["userinfo_endpoint"]).status_code == 401
    own = {"Authorization": f"Bearer {told['registration_access_token']}"}
    gone = httpx.delete(told["registration_client_uri"], headers=own, trust_env=False)
    assert gone.status_code == 204


def signing_key(algorithm: str, rsa: str) -> str:
    if algorithm == "RS256":
        return rsa
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


# The name stays what verifiers of today know; RFC 9864 would have it say Ed25519.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_an_id_token_passes_its_checks_whatever_key_signed_it(issuer, ada, lazyauth, settings, algorithm):
    """OpenID Connect Core §3.1.3.7: signature, iss, aud, exp, nonce, at_hash, auth_time under max_age."""
    lazyauth(SIGNING_KEYS=[signing_key(algorithm, settings.SIGNING_KEY)])
    client, server, told = client_of(issuer, "none")
    with client:
        verifier, nonce = generate_token(48), generate_token(20)
        url, state = client.create_authorization_url(
            server["authorization_endpoint"],
            code_verifier=verifier,
            nonce=nonce,
            max_age=600,
            prompt="consent",
            scope="openid offline_access",
        )
        token = client.fetch_token(
            server["token_endpoint"],
            authorization_response=ada.answer(url),
            code_verifier=verifier,
            state=state,
        )
    assert token["refresh_token"]
    assert server["id_token_signing_alg_values_supported"] == [algorithm]
    keys = KeySet.import_key_set(get(server["jwks_uri"]).json())
    read = jwt.decode(token["id_token"], keys, algorithms=[algorithm])
    expected = {"nonce": nonce, "client_id": told["client_id"], "max_age": 600}
    claims = CodeIDToken(
        read.claims,
        read.header,
        {"iss": {"value": issuer.url}, "aud": {"value": told["client_id"]}},
        {**expected, "access_token": token["access_token"]},
    )
    claims.validate(leeway=5)
    assert claims["at_hash"]
    assert claims["auth_time"]
