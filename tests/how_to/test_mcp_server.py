"""``docs/how-to/mcp-server.md``: a server of FastMCP and one of the SDK, and the client of FastMCP."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.support.two_sites import free_port

from .conftest import own_browser
from .person import Person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = "how-to/mcp-server.md"


@pytest.mark.parametrize("with_", ["With FastMCP", "With the `mcp` SDK"])
def test_a_client_that_nobody_registered_calls_the_tool(with_, site):
    """RFC 9728 §5.1, RFC 7591: from the challenge to the answer of the tool."""
    issuer, tools = site.mine("http://127.0.0.1:8000/"), f"127.0.0.1:{free_port()}"
    site.names |= {
        "https://auth.example.org/": issuer,
        "https://tools.example.org": f"http://{tools}",
        "127.0.0.1:9001": tools,
        "port=9001": f"port={tools.partition(':')[2]}",
    }
    opened = own_browser(site)
    site.follow(PAGE, with_)
    site.follow(PAGE, "Try it")
    site.wait_until_up(issuer)
    with Person(site) as person:
        person.sign_up(opened())
    assert site.wait_for_end("call.py") == 0, site.log("call.py")
    assert re.search(r"I am user \S+", site.log("call.py"))
    refused = httpx.post(
        f"http://{tools}/mcp", json={}, headers={"Authorization": "Bearer x"}, trust_env=False
    )
    assert refused.status_code == 401
