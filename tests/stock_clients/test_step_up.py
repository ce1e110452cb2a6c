"""Unmodified clients step up: for scopes (MCP's authorization, 2026-07-28), and for a stronger sign-in (RFC 9470)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from oauth2_provider.models import Application

from .conftest import REDIRECT_URI

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tools(issuer, lazyauth):
    """An MCP server whose tools need one scope to look and another to change something."""
    lazyauth(
        SCOPES={"tools:read": "Look things up for you", "tools:write": "Change things for you"},
        PROTECTED_RESOURCES={"/mcp": {"scopes": ["tools:read"]}},
        SCOPE_HIERARCHY={"tools:write": ["tools:read"]},
    )
    return f"{issuer.origin}/mcp"


@pytest.mark.services
@pytest.mark.parametrize("bound", ["no", "yes"])
@pytest.mark.parametrize("policy", ["stale", "always"])
def test_the_typescript_client_asks_for_the_union(node, tools, ada, lazyauth, bound, policy):
    """What conformance `auth/scope-from-www-authenticate`, `auth/scope-step-up`, `auth/dpop` and `auth/dpop-nonce` want
    of a client works here: with bearers, and with `dpop()`, which reads challenges of both schemes.
    """
    lazyauth(DPOP={"nonce": policy})
    said = node.run(
        "mcp_typescript_step_up.mjs",
        tools,
        REDIRECT_URI,
        bound,
        answer=lambda asked: ada.answer(asked["ask"]),
    )
    first, second = (set(scope.split()) - {"offline_access"} for scope in said["asked"])
    assert (first, second) == ({"tools:read"}, {"tools:read", "tools:write"})
    assert [set(scope.split()) - {"offline_access"} for scope in said["granted"]] == [first, second]
    assert [set(result["scopes"]) >= {"tools:read"} for result in said["results"]] == [True] * 4
    assert {kind.lower() for kind in said["types"]} == {"dpop" if bound == "yes" else "bearer"}
    # The older session goes on. Its token is sent as a bearer, as a thief would.
    assert said["older"] == (401 if bound == "yes" else 200)


@pytest.mark.slow
def test_the_python_client_asks_for_the_union(tools, ada):
    """The same of `mcp`, which registers with the scope of the first challenge."""
    mcp_auth = pytest.importorskip("mcp.client.auth")
    httpx2 = pytest.importorskip("httpx2")
    from mcp.shared.auth import OAuthClientMetadata

    from .test_mcp_python import Memory

    memory, links, answers = Memory(), [], []

    async def redirect(url: str) -> None:
        links.append(url)
        answers.append(await anyio.to_thread.run_sync(ada.answer, url))

    async def callback():
        query = {name: values[0] for name, values in parse_qs(urlsplit(answers[-1]).query).items()}
        return mcp_auth.AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    provider = mcp_auth.OAuthClientProvider(
        server_url=tools,
        client_metadata=OAuthClientMetadata(
            redirect_uris=[REDIRECT_URI], client_name="Stock client", token_endpoint_auth_method="none"
        ),
        storage=memory,
        redirect_handler=redirect,
        callback_handler=callback,
    )

    async def call():
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            looked = await http.get(tools)
            changed = await http.post(tools, json={"jsonrpc": "2.0", "id": 1, "method": "tools/call"})
            again = await http.get(tools)
            return looked, changed, again

    found = anyio.run(call)
    assert [answer.status_code for answer in found] == [200] * 3
    asked = [set(parse_qs(urlsplit(link).query)["scope"][0].split()) - {"offline_access"} for link in links]
    assert asked == [{"tools:read"}, {"tools:read", "tools:write"}]
    assert Application.objects.count() == 1, "it stepped up with the registration that it had"


@pytest.mark.services
def test_openid_client_follows_a_challenge_to_a_token_that_passes(node, issuer, ada, lazyauth):
    """RFC 9470 §3, §4: from the challenge to the authorization request and back."""
    lazyauth(
        SCOPES={"tools:write": "Change things for you"},
        ACR_VALUES=["urn:example:mfa"],
        PROVIDERS={"demo": {"class": "tests.support.providers.ObligingProvider", "display_name": "Demo"}},
    )
    said = node.run(
        "openid_client_step_up.mjs",
        issuer.url,
        REDIRECT_URI,
        f"{issuer.origin}/api/transfer",
        answer=lambda asked: ada.answer(asked["ask"]),
    )
    challenge = said["challenge"]
    assert (challenge["status"], challenge["scheme"]) == (401, "bearer")
    assert challenge["error"] == "insufficient_user_authentication"
    assert (challenge["acr_values"], challenge["max_age"], challenge["scope"]) == (
        "urn:example:mfa",
        "300",
        "tools:write",
    )
    assert (said["status"], said["body"]["acr"]) == (200, "urn:example:mfa")
