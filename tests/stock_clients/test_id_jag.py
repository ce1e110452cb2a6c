"""Clients and servers of other projects, in both roles of MCP enterprise-managed authorization (RFC 7523 §2.1)."""

from __future__ import annotations

import secrets
import time
from types import SimpleNamespace

import anyio
import httpx
import pytest
from authlib.oauth2.drafts.id_jag import IDJAGGrant
from authlib.oauth2.rfc6749 import InvalidGrantError
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, KeySet

from django_lazyauth.models import Consent, ProviderIdentity
from django_lazyauth.tokens.keys import public_key_set
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.delegation import confidential
from tests.support.id_jags import POLICY, assertion
from tests.support.journey import OAuthClient, query_of
from tests.tokens.conftest import decoded

from .conftest import REDIRECT_URI
from .test_mcp_python import Memory, httpx2

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

THERE, MCP = "https://there.example", "https://there.example/mcp"


@pytest.mark.parametrize(
    ("method", "signer"),
    [
        ("client_secret_post", "provider of the tests"),
        ("client_secret_basic", "joserfc"),
        ("client_secret_post", "cold domain"),
    ],
)
def test_mcp_python_calls_a_tool_without_a_page(issuer, lazyauth, request, method, signer):
    """``IdentityAssertionOAuthProvider``: the company's provider signs, and nobody is asked anything here."""
    from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

    confidential("agent")
    policy = POLICY | {"resources": [issuer.api], "scopes": ["profile"]}
    corp = SIGNERS[signer](request)
    lazyauth(**corp.trusted(policy))
    asked = []

    async def sign(audience: str, resource: str) -> str:
        asked.append((audience, resource))
        return corp.sign(audience, resource)

    provider = IdentityAssertionOAuthProvider(
        server_url=issuer.api,
        storage=Memory(),
        client_id="agent",
        client_secret=CONFIDENTIAL_SECRET,
        issuer=issuer.url,
        assertion_provider=sign,
        token_endpoint_auth_method=method,
    )

    async def call():
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            return [await http.get(issuer.api) for _ in range(2)]

    assert [answer.status_code for answer in anyio.run(call)] == [200, 200]
    assert asked == [(issuer.url, issuer.api)]
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.subject) == (corp.name, "person-1")
    assert not Consent.objects.exists()


#: The organisation. Its keys are in the settings here, so nobody asks it.
CORP = "https://login.corp.example"
ENDPOINTS = {"authorization_endpoint": f"{CORP}/authorize", "token_endpoint": f"{CORP}/token"}


class Corp:
    """An organisation whose keys stand in the settings."""

    name = "corp"
    jwks: dict

    def trusted(self, policy):
        provider = {"issuer": CORP, "client_id": "us", **ENDPOINTS, "jwks": self.jwks, "id_jag": policy}
        return {
            "PROVIDERS": {"demo": {"class": "tests.support.providers.BelievingProvider"}, "corp": provider}
        }


class SignedByJoserfc(Corp):
    """One whose provider is none of our code."""

    def __init__(self, request):
        self.key = ECKey.generate_key("P-256", {"kid": "corp-1", "use": "sig", "alg": "ES256"})
        self.jwks = {"keys": [self.key.as_dict(private=False)]}

    def sign(self, audience, resource):
        now = int(time.time())
        claims = {
            "iss": CORP,
            "sub": "person-1",
            "aud": audience,
            "client_id": "agent",
            "resource": resource,
            "scope": "profile",
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "exp": now + 300,
        }
        header = {"alg": "ES256", "kid": "corp-1", "typ": "oauth-id-jag+jwt"}
        return joserfc_jwt.encode(header, claims, self.key, algorithms=["ES256"])


class SignedByTheProvider:
    """One whose keys are fetched from where its metadata says."""

    name = "acme"

    def __init__(self, request):
        self.upstream = request.getfixturevalue("upstream")

    def trusted(self, policy):
        return {"PROVIDERS": {"acme": self.upstream.config(id_jag=policy)}}

    def sign(self, audience, resource):
        return assertion(self.upstream, aud=audience, resource=resource, scope="profile")


class ColdDomain(SignedByTheProvider):
    """One of a domain that this site hears of by the assertion, and has to discover while the client waits."""

    name = "sso:acme.example"

    def __init__(self, request):
        self.upstream = request.getfixturevalue("sso")

    def trusted(self, policy):
        return {
            "PROVIDERS": {"demo": {"class": "tests.support.providers.BelievingProvider"}},
            "SSO_ID_JAG": policy,
        }


class SignedByUs(Corp):
    """Another instance of ours: the same process under another name, for as long as it signs."""

    def __init__(self, request):
        needed = ("issuer", "tokens", "lazyauth")
        self.issuer, self.tokens, self.lazyauth = map(request.getfixturevalue, needed)
        self.jwks = public_key_set()

    def sign(self, audience, resource):
        terms = {"clients": {"site": "agent"}, "scopes": ["profile"], "resources": [resource]}
        self.lazyauth(ISSUER=CORP, ID_JAG_AUDIENCES={audience: terms})
        asked = ask_for_word(self.tokens["refresh_token"], "refresh_token", audience, resource)
        try:
            answer = httpx.post(f"{self.issuer.base}/token", data=asked, trust_env=False).json()
        finally:
            self.lazyauth(ISSUER=self.issuer.url, ID_JAG_AUDIENCES={THERE: TERMS})
        return answer["access_token"]


SIGNERS = {
    "provider of the tests": SignedByTheProvider,
    "joserfc": SignedByJoserfc,
    "cold domain": ColdDomain,
    "another instance of ours": SignedByUs,
}


def ask_for_word(token, kind, audience, resource=None):
    """Return the request for an ID-JAG (draft §4.3)."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "subject_token": token,
        "subject_token_type": f"urn:ietf:params:oauth:token-type:{kind}",
        "audience": audience,
        **({"resource": resource} if resource else {}),
        "client_id": "site",
        "client_secret": CONFIDENTIAL_SECRET,
    }


TERMS = {"clients": {"site": "site-there"}, "scopes": ["notes:read"], "resources": [MCP]}


@pytest.fixture
def tokens(issuer, ada, lazyauth):
    """What a confidential client holds of somebody who signed in at this site, which is an organisation too."""
    register(
        client_id="site",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
        redirect_uris=REDIRECT_URI,
    )
    lazyauth(ID_JAG_AUDIENCES={THERE: TERMS})
    client = OAuthClient("site", CONFIDENTIAL_SECRET, redirect_uri=REDIRECT_URI)
    answer = ada.answer(f"{issuer.base}/authorize?{client.authorize_query()}")
    form = client.token_form(query_of(answer)["code"])
    return httpx.post(f"{issuer.base}/token", data=form, trust_env=False).json()


@pytest.mark.services
@pytest.mark.parametrize("signer", ["joserfc", "cold domain", "another instance of ours"])
def test_mcp_typescript_calls_a_tool_without_a_page(node, issuer, tokens, lazyauth, request, signer):
    """``CrossAppAccessProvider`` and ``requestJwtAuthorizationGrant``, with words that three kinds of IdP signed."""
    confidential("agent")
    corp = SIGNERS[signer](request)
    lazyauth(**corp.trusted(POLICY | {"resources": [issuer.api], "scopes": ["profile"]}))
    as_idp = {
        "tokenEndpoint": f"{issuer.base}/token",
        "audience": THERE,
        "resource": MCP,
        "idToken": tokens["id_token"],
        "clientId": "site",
        "clientSecret": CONFIDENTIAL_SECRET,
    }
    said = node.run(
        "mcp_typescript_enterprise.mjs",
        issuer.api,
        "agent",
        CONFIDENTIAL_SECRET,
        issuer.url,
        as_idp,
        answer=lambda asked: corp.sign(issuer.url, asked["resource"]),
    )
    grant = said.pop("grant")
    assert said == {"step": "AUTHORIZED", "scope": "profile", "refresh": "", "status": 200}
    assert ProviderIdentity.objects.filter(provider=corp.name).count() == 1
    assert grant["expiresIn"] == 300
    assert decoded(grant["jwtAuthGrant"])[1]["client_id"] == "site-there"


class Server(IDJAGGrant):
    """An authorization server of Authlib that trusts us."""

    def __init__(self, request, issuer, key_set):
        super().__init__(request, SimpleNamespace(validate_requested_scope=lambda *scopes: None))
        self.trusted, self.key_set, self.used = issuer, key_set, set()

    def authenticate_token_endpoint_client(self):
        return SimpleNamespace(
            get_client_id=lambda: "site-there",
            check_grant_type=lambda grant_type: grant_type == self.GRANT_TYPE,
            get_allowed_scope=lambda scope: scope,
        )

    def get_audiences(self):
        return [THERE]

    def resolve_issuer_key(self, issuer, headers):
        assert issuer == self.trusted
        return self.key_set

    def authenticate_user(self, subject):
        return subject

    def check_jti(self, claims, jti):
        is_new = jti not in self.used
        self.used.add(jti)
        return is_new

    def check_id_jag_permission(self, client, user, scopes):
        return True


def test_authlib_takes_what_we_say_of_our_people(issuer, tokens):
    """Spec 8.5, as IdP: ``IDJAGGrant`` finds our key by ``kid`` and checks each claim."""
    asked = ask_for_word(tokens["id_token"], "id_token", THERE)
    given = httpx.post(f"{issuer.base}/token", data=asked, trust_env=False).json()["access_token"]
    document = httpx.get(f"{issuer.base}/.well-known/openid-configuration", trust_env=False).json()
    key_set = KeySet.import_key_set(httpx.get(document["jwks_uri"], trust_env=False).json())
    request = SimpleNamespace(form={"assertion": given}, payload=SimpleNamespace(scope=None))
    server = Server(request, issuer.url, key_set)
    server.validate_token_request()
    claims = request.id_jag_claims
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (issuer.url, THERE, "site-there")
    assert (claims["scope"], claims["resource"]) == ("notes:read", MCP)
    with pytest.raises(InvalidGrantError):
        server.validate_token_request()
