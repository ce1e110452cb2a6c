"""Clients of other projects that bind their tokens to a key (RFC 9449), under both policies for nonces."""

from __future__ import annotations

import jwt
import pytest
import requests

from django_lazyauth.models import TokenFacts, UsedProof
from tests.conftest import register

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True)]

POLICIES = pytest.mark.parametrize("policy", ["stale", "always"])


@pytest.fixture
def entered(db):
    """A public client as an operator enters it."""
    register(client_id="bound", redirect_uris=REDIRECT_URI)
    return "bound"


@pytest.fixture
def runs(node, issuer, ada, lazyauth, entered):
    """Run a client of npm through code and refresh; return what it says."""

    def run(script, policy, *arguments):
        lazyauth(DPOP={"nonce": policy})
        return node.run(
            script,
            issuer.url,
            entered,
            REDIRECT_URI,
            *arguments,
            answer=lambda asked: ada.answer(asked["ask"]),
        )

    return run


def key_in(token: str) -> str:
    """Return the key that a token is bound to."""
    return jwt.decode(token, options={"verify_signature": False})["cnf"]["jkt"]


@pytest.mark.services
@POLICIES
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "RS256", "Ed25519"])
def test_oauth4webapi(runs, issuer, policy, algorithm):
    """``DPoP``: it signs each request, and a thief of its refresh token gets nothing."""
    said = runs("oauth4webapi_dpop.mjs", policy, algorithm, "0", "no", issuer.api)
    # Its key, and that of the thief, are asked for a nonce once each.
    assert said.pop("asked") == (2 if policy == "always" else 0)
    assert key_in(said.pop("token")) == said.pop("thumbprint")
    assert said == {
        "answered": 200,
        "withoutKey": ["invalid_token", "invalid_token"],
        "served": True,
        "stolen": None,
        "thief": "invalid_grant",
        "bearer": "invalid_grant",
        "types": ["dpop", "dpop"],
    }
    assert UsedProof.objects.count() == TokenFacts.objects.count() == 2


@pytest.mark.services
@POLICIES
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_oauth4webapi_at_resources(runs, issuer, policy, algorithm):
    """RFC 9449 §7: ours, and one that the library guards itself with ``validateJwtAccessToken``."""
    said = runs("oauth4webapi_resource.mjs", policy, algorithm, issuer.api)
    assert (said["status"], said["name"]) == (200, True)
    assert said["stolen"] == [
        {"status": 401, "scheme": "dpop", "error": "invalid_token"},
        {"status": 401, "scheme": "bearer", "error": "invalid_token"},
    ]
    assert said["claims"]["cnf"]["jkt"] == said["thumbprint"]
    assert len(said["refused"]) == 2


@pytest.mark.services
@pytest.mark.parametrize("seconds", ["-3600", "3600"])
def test_oauth4webapi_with_a_wrong_clock(runs, issuer, seconds):
    """RFC 9449 §8: the nonce heals a clock that is an hour off."""
    said = runs("oauth4webapi_dpop.mjs", "stale", "ES256", seconds, "yes", issuer.api)
    assert said["answered"] == 200
    assert said["asked"] > 0
    assert said["stolen"] == said["thief"] == "invalid_grant"
    assert said["types"] == ["dpop", "dpop"]
    assert key_in(said["token"]) == said["thumbprint"]


@pytest.mark.services
@POLICIES
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_openid_client(runs, issuer, policy, algorithm):
    """``getDPoPHandle`` at a push and behind it: the code is bound to its key too (RFC 9449 §10)."""
    said = runs("openid_client_dpop.mjs", policy, algorithm, issuer.api)
    assert "@" in said["email"]
    assert (said["answered"], said["bearerCall"]) == (200, 401)
    assert said["stolen"] == said["thief"] == said["bearer"] == "invalid_grant"
    assert said["types"] == ["dpop", "dpop"]
    assert key_in(said["token"]) == said["thumbprint"]


@pytest.mark.slow
@POLICIES
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_requests_oauth2client(issuer, ada, lazyauth, entered, policy, algorithm, monkeypatch):
    """``DPoPToken``: it handles the nonce by itself."""
    from requests_oauth2client import DPoPToken, OAuth2Client
    from requests_oauth2client.exceptions import InvalidGrant

    lazyauth(DPOP={"nonce": policy})
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    client = OAuth2Client.from_discovery_endpoint(
        f"{issuer.base}/.well-known/openid-configuration",
        issuer=issuer.url,
        auth=entered,
        redirect_uri=REDIRECT_URI,
        dpop_bound_access_tokens=True,
        dpop_alg=algorithm,
        testing=True,
    )
    asked = client.authorization_request(scope="openid email")
    assert asked.dpop_jkt
    token = client.authorization_code(asked.validate_callback(ada.answer(str(asked))), validate=False)
    assert isinstance(token, DPoPToken)
    renewed = client.refresh_token(token)
    assert isinstance(renewed, DPoPToken)
    assert key_in(renewed.access_token) == token.dpop_key.dpop_jkt == asked.dpop_jkt
    # Its token signs the requests of `requests`; the nonce of a 401 it uses by itself.
    http = requests.Session()
    http.trust_env = False
    assert http.get(issuer.api, auth=renewed).status_code == 200
    assert "@" in http.get(f"{issuer.base}/userinfo", auth=renewed).json()["email"]
    as_bearer = {"Authorization": f"Bearer {renewed.access_token}"}
    assert http.get(issuer.api, headers=as_bearer).status_code == 401
    with pytest.raises(InvalidGrant):
        client.refresh_token(renewed.refresh_token, dpop=False)
