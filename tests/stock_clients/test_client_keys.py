"""Clients of other projects that prove themselves with a key, in each way that they can (RFC 7523 §2.2)."""

from __future__ import annotations

import anyio
import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey
from oauth2_provider.models import AccessToken

from django_lazyauth.models import UsedProof
from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True)]

GRANTS = ["authorization_code", "refresh_token", "client_credentials"]
KEYS = {name: ClientKey(name, kid=f"key-{name}") for name in ("RS256", "PS256", "ES256", "Ed25519")}

JOSE_KEYS = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}


def entered(key: ClientKey) -> str:
    """Enter a client as an operator does, for every grant; return its id."""
    register(client_id="keyed", client_type="confidential", redirect_uris=REDIRECT_URI)
    give_keys("keyed", key, grant_types=GRANTS)
    return "keyed"


def pem(key: ClientKey) -> str:
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def runs(node, issuer, ada):
    """Run a client of npm with its key, through all grants; return what it says."""

    def run(script, algorithm):
        key = KEYS[algorithm]
        return node.run(
            script,
            issuer.url,
            entered(key),
            REDIRECT_URI,
            algorithm,
            key.private_jwk,
            answer=lambda asked: ada.answer(asked["ask"]),
        )

    return run


@pytest.mark.services
@pytest.mark.parametrize("algorithm", KEYS)
def test_openid_client(runs, algorithm):
    """Version 6 sends ``Ed25519`` by its new name (RFC 9864), and the issuer as audience."""
    said = runs("openid_client_keys.mjs", algorithm)
    downgraded = said.pop("downgraded")["status"]
    assert said == {"supported": True, "renewed": True, "active": True, "scope": "profile", "after": False}
    assert downgraded == 401, "the session began with a key"
    assert UsedProof.objects.count() == 6


@pytest.mark.services
@pytest.mark.parametrize("algorithm", KEYS)
def test_oauth4webapi(runs, algorithm):
    """An assertion for the token endpoint is refused, and the same code redeems with one for the issuer."""
    said = runs("oauth4webapi_keys.mjs", algorithm)
    refused = said.pop("refused")["status"]
    assert said == {"renewed": True, "active": True, "scope": "profile", "after": False}
    assert refused == 401


@pytest.mark.services
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_mcp_typescript(node, issuer, algorithm):
    """``PrivateKeyJwtProvider`` acts for itself."""
    key = ClientKey(algorithm)
    said = node.run(
        "mcp_typescript_keys.mjs",
        issuer.api,
        entered(key),
        algorithm,
        key.private_jwk | {"alg": algorithm},
        issuer.url,
        answer=str,
    )
    # It asks for what the resource's metadata names, not for what it was told.
    assert "profile" in said.pop("scope").split()
    assert said == {"step": "AUTHORIZED", "type": "Bearer"}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_mcp_python(issuer, algorithm):
    """``PrivateKeyJWTOAuthProvider`` acts for itself, and asks for the issuer as audience."""
    from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters

    httpx2 = pytest.importorskip("httpx2")
    from .test_mcp_python import Memory

    key = ClientKey(algorithm, kid="")
    client_id = entered(key)
    signer = SignedJWTParameters(
        issuer=client_id, subject=client_id, signing_key=pem(key), signing_algorithm=algorithm
    )
    memory = Memory()
    provider = PrivateKeyJWTOAuthProvider(
        server_url=issuer.api,
        storage=memory,
        client_id=client_id,
        assertion_provider=signer.create_assertion_provider(),
        scope="profile",
        issuer=issuer.url,
    )

    async def call():
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            return await http.get(issuer.api)

    anyio.run(call)
    assert "profile" in memory.tokens.scope.split()
    assert AccessToken.objects.get().user is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_authlib(issuer, ada, algorithm):
    """Its ``exp`` is an hour ahead. The audience is told to it: by itself it sends the endpoint's URL."""
    key = ClientKey(algorithm)
    client_id = entered(key)
    server = httpx.get(f"{issuer.base}/.well-known/openid-configuration", trust_env=False).json()
    # What it calls the token endpoint is its audience. With `claims` it would send one `jti` for ever.
    method = PrivateKeyJWT(issuer.url, headers={"kid": key.kid}, alg=algorithm)
    with OAuth2Client(
        client_id=client_id,
        client_secret=JOSE_KEYS[algorithm].import_key(pem(key)),
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
        redirect_uri=REDIRECT_URI,
        scope="openid email",
        code_challenge_method="S256",
        trust_env=False,
    ) as client:
        client.register_client_auth_method(method)
        verifier = generate_token(48)
        url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
        token = client.fetch_token(
            server["token_endpoint"],
            authorization_response=ada.answer(url),
            code_verifier=verifier,
            state=state,
        )
        renewed = client.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
        endpoint = server["introspection_endpoint"]
        assert client.introspect_token(endpoint, token=renewed["access_token"]).json()["active"] is True
        client.revoke_token(server["revocation_endpoint"], token=renewed["access_token"])
        assert client.introspect_token(endpoint, token=renewed["access_token"]).json()["active"] is False
        own = client.fetch_token(server["token_endpoint"], grant_type="client_credentials", scope="profile")
        assert own["scope"] == "profile"


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_requests_oauth2client(issuer, ada, algorithm, monkeypatch):
    """The audience is told to it: by itself it sends the endpoint's URL."""
    from requests_oauth2client import OAuth2Client as Client
    from requests_oauth2client import PrivateKeyJwt

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    key = ClientKey(algorithm)
    client_id = entered(key)
    client = Client.from_discovery_endpoint(
        f"{issuer.base}/.well-known/openid-configuration",
        issuer=issuer.url,
        auth=PrivateKeyJwt(
            client_id, {**key.private_jwk, "alg": algorithm}, alg=algorithm, aud=issuer.url, lifetime=60
        ),
        redirect_uri=REDIRECT_URI,
        testing=True,
    )
    asked = client.authorization_request(scope="openid email")
    came_back = asked.validate_callback(ada.answer(str(asked)))
    token = client.authorization_code(came_back, validate=False)
    renewed = client.refresh_token(token.refresh_token)
    assert client.introspect_token(renewed.access_token)["active"] is True
    assert client.revoke_access_token(renewed.access_token) is True
    assert client.introspect_token(renewed.access_token)["active"] is False
    assert client.client_credentials(scope="profile").scope == "profile"
