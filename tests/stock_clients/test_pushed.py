"""Clients of other projects that push their authorization requests and sign them (RFC 9126, RFC 9101)."""

from __future__ import annotations

import pytest

from django_lazyauth.models import PendingAuthorization, Status
from tests.support.client_keys import ClientKey

from .conftest import REDIRECT_URI
from .test_client_keys import entered

pytestmark = [pytest.mark.django_db(transaction=True)]

SENT = {
    "pushed": ["client_id", "request_uri"],
    "signed": ["client_id", "request"],
    "both": ["client_id", "request_uri"],
}


@pytest.mark.services
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "Ed25519"])
@pytest.mark.parametrize("way", SENT)
def test_openid_client(node, issuer, ada, lazyauth, way, algorithm):
    """``buildAuthorizationUrlWithPAR`` and ``buildAuthorizationUrlWithJAR``; where all has to be pushed, too."""
    lazyauth(REQUEST_OBJECTS=True, REQUIRE_PAR=way != "signed")
    key = ClientKey(algorithm, kid=f"key-{algorithm}")
    said = node.run(
        "openid_client_pushed.mjs",
        issuer.url,
        entered(key),
        REDIRECT_URI,
        algorithm,
        key.private_jwk,
        way,
        answer=lambda asked: ada.answer(asked["ask"]),
    )
    assert said.pop("refused") == ["invalid_request", 400]
    # openid-client repeats these two beside what it signed, as OpenID Connect Core §6.1 has it.
    assert set(said.pop("sent")) - {"response_type", "scope"} == set(SENT[way])
    assert said == {"renewed": True}
    used = PendingAuthorization.objects.get(status=Status.EXCHANGED)
    assert used.pushed_digest == used.request_digest is not None


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pushed", "signed"])
def test_requests_oauth2client(issuer, ada, lazyauth, monkeypatch, way):
    """It has to be told ``iss`` and ``aud`` of what it signs. What it signed it cannot push."""
    from requests_oauth2client import OAuth2Client as Client
    from requests_oauth2client import PrivateKeyJwt

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    lazyauth(REQUEST_OBJECTS=True, REQUIRE_PAR=way != "signed")
    key = ClientKey("ES256")
    client_id = entered(key)
    jwk = {**key.private_jwk, "alg": "ES256"}
    client = Client.from_discovery_endpoint(
        f"{issuer.base}/.well-known/openid-configuration",
        issuer=issuer.url,
        auth=PrivateKeyJwt(client_id, jwk, alg="ES256", aud=issuer.url, lifetime=60),
        redirect_uri=REDIRECT_URI,
        testing=True,
    )
    said = {} if way == "pushed" else {"iss": client_id, "aud": issuer.url}
    asked = client.authorization_request(scope="openid email", **said)
    sent = asked if way == "pushed" else asked.sign(jwk, lifetime=60)
    if way == "pushed":
        sent = client.pushed_authorization_request(sent)
    came_back = asked.validate_callback(ada.answer(str(sent)))
    token = client.authorization_code(came_back, validate=False)
    assert client.refresh_token(token.refresh_token).access_token != token.access_token
    used = PendingAuthorization.objects.get(status=Status.EXCHANGED)
    assert used.pushed_digest == used.request_digest is not None
