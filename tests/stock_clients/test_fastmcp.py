"""FastMCP on both sides: its client signs a person in, its server takes our access tokens as a resource of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from oauth2_provider.models import AccessToken, Application

from tests.conftest import register
from tests.support.journey import query_of

from .conftest import Person

fastmcp = pytest.importorskip("fastmcp")
httpx2 = pytest.importorskip("httpx2")
uvicorn = pytest.importorskip("uvicorn")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:Using in-memory token storage"),
]

#: Of the tool server at the introspection endpoint.
SECRET = "the secret of a tool server" + "0123456789" * 2


@pytest.fixture
def browser(issuer, ada, monkeypatch) -> list[str]:
    """What FastMCP opens: the person answers, and their browser brings the answer to FastMCP's listener."""
    opened: list[str] = []

    def visit(url: str) -> None:
        answer = ada.answer(url)
        for _ in range(50):
            try:
                page = httpx.get(answer, trust_env=False)
                assert page.status_code == 200, page.text
                return
            except httpx.ConnectError:
                # It listens a moment after it opened the browser.
                threading.Event().wait(0.05)

    def open_(url: str) -> bool:
        opened.append(url)
        threading.Thread(target=visit, args=[url], daemon=True).start()
        return True

    monkeypatch.setattr(webbrowser, "open", open_)
    return opened


def oauth(**options):
    from fastmcp.client.auth import OAuth

    return OAuth(
        httpx_client_factory=lambda **more: httpx2.AsyncClient(trust_env=False, **more),
        callback_timeout=30,
        **options,
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_its_client_registers_signs_in_and_refreshes(issuer, browser, host):
    """Discovery by the 401 of a resource (RFC 9728 §5), registration, a listener at a random port, `iss`, refresh."""
    auth = oauth(mcp_url=issuer.api, callback_host=host)

    async def call():
        async with httpx2.AsyncClient(auth=auth, trust_env=False) as http:
            first = await http.get(issuer.api)
            auth.context.token_expiry_time = 1
            return first, await http.get(issuer.api)

    first, second = asyncio.run(call())
    assert (first.status_code, second.status_code) == (200, 200)
    [opened] = browser
    asked = query_of(opened)
    assert asked["resource"] == issuer.api
    assert urlsplit(asked["redirect_uri"]).hostname == host
    assert "offline_access" in asked["scope"].split()
    client = Application.objects.get()
    assert (client.client_type, client.registration_source) == ("public", "dcr")
    before, renewed = AccessToken.objects.order_by("pk")
    assert before.resource == renewed.resource == [issuer.api]


def test_a_client_that_is_gone_registers_anew(issuer, browser):
    """What FastMCP looks for before it opens a browser: a 400 for a client that nobody knows any more."""
    auth = oauth(mcp_url=issuer.api)

    async def call():
        async with httpx2.AsyncClient(auth=auth, trust_env=False) as http:
            answer = await http.get(issuer.api)
        return answer.status_code

    async def forget_tokens():
        await auth._initialize()
        auth.context.current_tokens = None

    assert asyncio.run(call()) == 200
    Application.objects.all().delete()
    asyncio.run(forget_tokens())
    assert asyncio.run(call()) == 200
    assert len(browser) == 2
    assert Application.objects.count() == 1


@contextmanager
def tool_server(auth_of) -> Iterator[str]:
    """A FastMCP server at a port of its own; yields the URL of its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = fastmcp.FastMCP("tools", auth=auth_of(base))

        @server.tool
        def whoever() -> str:
            """Say who calls."""
            from fastmcp.server.dependencies import get_access_token

            token = get_access_token()
            return f"{token.client_id} {' '.join(sorted(token.scopes))}"

        config = uvicorn.Config(server.http_app(path="/mcp"), log_level="warning", lifespan="on")
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"{base}/mcp"
        finally:
            web.should_exit = True
            thread.join(20)


def remote(issuer, verifier):
    """Return what FastMCP's documentation tells operators to write."""
    from fastmcp.server.auth import RemoteAuthProvider
    from pydantic import AnyHttpUrl

    def auth_of(base: str):
        return RemoteAuthProvider(
            token_verifier=verifier(f"{base}/mcp"),
            authorization_servers=[AnyHttpUrl(issuer.url)],
            base_url=base,
            scopes_supported=["openid", "email"],
        )

    return auth_of


def use(url: str) -> str:
    async def call() -> str:
        async with fastmcp.Client(url, auth=oauth()) as client:
            return (await client.call_tool("whoever")).data

    return asyncio.run(call())


def test_its_server_verifies_our_access_tokens_by_our_keys(issuer, browser):
    """RFC 9068 §4, RFC 8707 §2: the audience is the tool server."""
    from fastmcp.server.auth.providers.jwt import JWTVerifier

    def verifier(resource):
        keys = httpx.get(f"{issuer.base}/.well-known/jwks.json", trust_env=False)
        assert keys.status_code == 200
        return JWTVerifier(
            jwks_uri=f"{issuer.base}/.well-known/jwks.json",
            issuer=issuer.url,
            audience=resource,
            algorithm="RS256",
            required_scopes=["openid"],
        )

    with tool_server(remote(issuer, verifier)) as url:
        said = use(url)
        client_id, *scopes = said.split()
        assert client_id == Application.objects.get().client_id
        assert set(scopes) == {"openid", "offline_access"}
        # One for another resource is refused: the site's own API does not share its tokens with the tool server.
        stolen = token_for(issuer, "http://elsewhere.example/mcp")
        refused = httpx.post(url, headers={"Authorization": f"Bearer {stolen}"}, json={}, trust_env=False)
        assert refused.status_code == 401


def test_its_server_asks_our_introspection_endpoint(issuer, browser, lazyauth):
    """RFC 7662 §2: a resource server sees the tokens that are meant for it."""
    from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier

    def verifier(resource):
        lazyauth(INTROSPECTION_CLIENTS={"tool-server": [resource]})
        register(
            client_id="tool-server",
            client_type="confidential",
            client_secret=SECRET,
            hash_client_secret=True,
        )
        return IntrospectionTokenVerifier(
            introspection_url=f"{issuer.base}/introspect",
            client_id="tool-server",
            client_secret=SECRET,
            required_scopes=["openid"],
        )

    with tool_server(remote(issuer, verifier)) as url:
        client_id = use(url).split()[0]
        assert client_id == Application.objects.get(registration_source="dcr").client_id
        stolen = token_for(issuer, "http://elsewhere.example/mcp")
        refused = httpx.post(url, headers={"Authorization": f"Bearer {stolen}"}, json={}, trust_env=False)
        assert refused.status_code == 401


def token_for(issuer, resource: str) -> str:
    """Sign somebody in for *resource*; return the access token."""
    from tests.support.journey import OAuthClient

    redirect_uri = "http://127.0.0.1:43210/callback"
    register(client_id="thief", redirect_uris=redirect_uri)
    client = OAuthClient("thief", redirect_uri=redirect_uri)
    with Person(issuer.origin, subject="grace") as grace:
        code = query_of(grace.answer(f"{issuer.base}/authorize?{client.authorize_query(resource=resource)}"))[
            "code"
        ]
    answer = httpx.post(f"{issuer.base}/token", data=client.token_form(code), trust_env=False)
    return answer.json()["access_token"]
