"""The OAuth client of the ``mcp`` Python package: discovery, registration, authorization, refresh, an API call."""

from __future__ import annotations

import anyio
import pytest
from oauth2_provider.models import AccessToken, Application

from .conftest import REDIRECT_URI, SET_UPS

mcp_auth = pytest.importorskip("mcp.client.auth")
httpx2 = pytest.importorskip("httpx2")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Memory:
    def __init__(self) -> None:
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


@pytest.mark.parametrize("issuer", SET_UPS, indirect=True)
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_registers_and_runs_the_whole_flow(issuer, ada, method):
    from mcp.shared.auth import OAuthClientMetadata

    memory = Memory()
    answered: list[str] = []

    async def redirect(url: str) -> None:
        answered.append(await anyio.to_thread.run_sync(ada.answer, url))

    async def callback():
        from urllib.parse import parse_qs, urlsplit

        query = parse_qs(urlsplit(answered[-1]).query)
        return mcp_auth.AuthorizationCodeResult(
            code=query["code"][0], state=query["state"][0], iss=query["iss"][0]
        )

    provider = mcp_auth.OAuthClientProvider(
        server_url=issuer.api,
        client_metadata=OAuthClientMetadata(
            redirect_uris=[REDIRECT_URI], client_name="Stock client", token_endpoint_auth_method=method
        ),
        storage=memory,
        redirect_handler=redirect,
        callback_handler=callback,
    )

    async def call_twice():
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            first = await http.get(issuer.api)
            # What it does once its access token has expired.
            provider.context.token_expiry_time = 1
            second = await http.get(issuer.api)
            return first, second

    first, second = anyio.run(call_twice)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert len(answered) == 1, "the second call refreshed without the person"
    assert bool(memory.client.client_secret) == (method != "none")
    client = Application.objects.get()
    assert client.registration_source == "dcr"
    assert client.client_type == ("public" if method == "none" else "confidential")
    assert AccessToken.objects.count() == 2, "the one before the refresh stays good until it expires"
