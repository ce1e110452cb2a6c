"""Two instances of this product with a database each: a company's provider, and an MCP authorization server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import anyio
import httpx
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model

from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.journey import OAuthClient, query_of
from tests.support.two_sites import LOCAL, ROOT, Process, free_port

from .conftest import REDIRECT_URI
from .test_mcp_python import Memory, httpx2

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

#: Makes the tables of the second site, and its one client.
PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.support.delegation import confidential
confidential("agent")
"""


@pytest.fixture
def second(issuer, tmp_path):
    """The MCP authorization server. It trusts the company's provider, which is the site of this process."""
    port = free_port()
    url, path = f"http://127.0.0.1:{port}", str(tmp_path / "second.sqlite3")
    policy = {"clients": ["agent"], "scopes": ["profile"], "resources": [f"{url}/api/whoever"]}
    corp = {"issuer": issuer.url, "client_id": "us", "client_secret": "x" * 40, "id_jag": policy}
    lazyauth = {
        **settings.LAZYAUTH,
        "ISSUER": url,
        "PROVIDERS": {"corp": corp},
        "ALLOW_LOOPBACK_UPSTREAMS": True,
    }
    told = {
        "caches": LOCAL,
        "database": path,
        "lazyauth": lazyauth,
        "urls": "tests.stock_clients.urls_at_the_root",
    }
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.process_settings",
        "LAZYAUTH_TEST_PROCESS": json.dumps(told),
        "LAZYAUTH_TEST_DATABASE": "sqlite",
        "LAZYAUTH_TEST_SQLITE": path,
    }
    subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=os.environ | environment, check=True)
    process = Process("tests.support.issuer_process", port, **environment)
    try:
        process.wait_until_up()
        yield url
    finally:
        process.stop()


@pytest.mark.parametrize("issuer", ["issuer at the root"], indirect=True)
def test_a_person_of_the_company_calls_a_tool_of_the_other_without_a_page(issuer, ada, lazyauth, second):
    """Issue 17: and once the company disables them, nothing new is issued."""
    from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

    tool = f"{second}/api/whoever"
    register(
        client_id="desktop",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
        redirect_uris=REDIRECT_URI,
    )
    terms = {"clients": {"desktop": "agent"}, "scopes": ["profile"], "resources": [tool]}
    lazyauth(ID_JAG_AUDIENCES={second: terms})
    client = OAuthClient("desktop", CONFIDENTIAL_SECRET, redirect_uri=REDIRECT_URI)
    answer = ada.answer(f"{issuer.base}/authorize?{client.authorize_query()}")
    pages = ada.pages
    form = client.token_form(query_of(answer)["code"])
    id_token = httpx.post(f"{issuer.base}/token", data=form, trust_env=False).json()["id_token"]

    def word(audience: str, resource: str) -> httpx.Response:
        asked = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "subject_token": id_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "audience": audience,
            "resource": resource,
            "client_id": "desktop",
            "client_secret": CONFIDENTIAL_SECRET,
        }
        return httpx.post(f"{issuer.base}/token", data=asked, trust_env=False)

    async def sign(audience: str, resource: str) -> str:
        given = await anyio.to_thread.run_sync(word, audience, resource)
        return str(given.json()["access_token"])

    provider = IdentityAssertionOAuthProvider(
        server_url=tool,
        storage=Memory(),
        client_id="agent",
        client_secret=CONFIDENTIAL_SECRET,
        issuer=second,
        assertion_provider=sign,
    )

    async def call():
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            return await http.get(tool)

    assert anyio.run(call).status_code == 200
    assert ada.pages == pages
    get_user_model().objects.update(is_active=False)
    refused = word(second, tool)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
