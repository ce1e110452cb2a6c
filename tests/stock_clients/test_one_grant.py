"""One grant of a person, used for several APIs by clients of other projects (RFC 6749 §6, RFC 8707 §2.2, I20)."""

from __future__ import annotations

import anyio
import httpx
import pytest
from oauth2_provider.models import AccessToken, RefreshToken

from tests.conftest import register
from tests.support.journey import OAuthClient, query_of

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True)]

SCOPES = ["openid", "profile", "email"]
TURNS = 20


@pytest.fixture
def apis(site, settings) -> list[str]:
    """Two APIs of the site, each a resource."""
    settings.ROOT_URLCONF = "tests.stock_clients.urls_of_two_apis"
    register(client_id="two-apis", redirect_uris=REDIRECT_URI)
    return [f"{site}/api/one", f"{site}/api/two"]


@pytest.mark.services
def test_openid_client_alternates_two_resources_and_three_scopes(node, site, person, apis):
    """A token of one API opens nothing at the other, and the grant stays what it was."""
    said = node.run(
        "openid_client_grant.mjs",
        site,
        "two-apis",
        REDIRECT_URI,
        apis,
        SCOPES,
        TURNS,
        answer=lambda asked: person.answer(asked["ask"]),
    )
    assert said["got"] == [[SCOPES[turn % 3], 200, 401] for turn in range(TURNS)]
    assert said["beyondScope"]["error"] == "invalid_scope"
    assert said["beyondResource"]["error"] == "invalid_target"
    assert said["whole"].split() == SCOPES
    assert set(AccessToken.objects.latest("pk").resource) == set(apis)
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1


@pytest.mark.slow
def test_mcp_alternates_two_servers_on_one_grant(site, person, apis):
    """A host of MCP keeps one grant for two servers. Its refresh names the server as the resource, and no scope."""
    mcp_auth = pytest.importorskip("mcp.client.auth")
    httpx2 = pytest.importorskip("httpx2")
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

    from .test_mcp_python import Memory

    memory = Memory()
    memory.tokens = OAuthToken.model_validate(granted(site, person, apis))
    memory.client = OAuthClientInformationFull(
        client_id="two-apis", redirect_uris=[REDIRECT_URI], token_endpoint_auth_method="none", issuer=site
    )

    async def asked_again(url: str) -> None:
        raise AssertionError(f"the person is asked again: {url}")

    async def call(api: str) -> int:
        provider = mcp_auth.OAuthClientProvider(
            server_url=api,
            client_metadata=OAuthClientMetadata(redirect_uris=[REDIRECT_URI]),
            storage=memory,
            redirect_handler=asked_again,
        )
        # The access token that it finds has expired.
        provider.context.token_expiry_time = 1
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            answer = await http.get(api, headers={"mcp-protocol-version": "2025-11-25"})
        return answer.status_code

    for turn in range(TURNS):
        api = apis[turn % 2]
        assert anyio.run(call, api) == 200, turn
        assert AccessToken.objects.latest("pk").resource == [api]
        assert memory.tokens.scope.split() == SCOPES
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1
    assert RefreshToken.objects.count() == TURNS + 1


def granted(site, person, apis) -> dict[str, object]:
    """Return the tokens of a person who allowed both APIs."""
    client = OAuthClient("two-apis", redirect_uri=REDIRECT_URI, scope=" ".join(SCOPES))
    url = f"{site}/authorize?{client.authorize_query(resource=apis)}"
    form = {
        "grant_type": "authorization_code",
        "code": query_of(person.answer(url))["code"],
        "client_id": client.client_id,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": client.verifier,
    }
    return httpx.post(f"{site}/token", data=form, trust_env=False).json()
