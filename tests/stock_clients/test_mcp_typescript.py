"""``auth()`` of ``@modelcontextprotocol/sdk`` under Node: discovery, registration, authorization, refresh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from oauth2_provider.models import Application

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

HERE = Path(__file__).parent
#: Installed once; outside version control.
FOLDER = HERE.parents[1] / "var" / "stock_clients"


@pytest.fixture(scope="module")
def script() -> Path:
    """The client and the SDK that it imports."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("service: no Node here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.mjs"):
        shutil.copyfile(HERE / name, FOLDER / name)
    if not (FOLDER / "node_modules" / "@modelcontextprotocol" / "sdk").exists():
        try:
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
                cwd=FOLDER,
                check=True,
                capture_output=True,
                timeout=100,
            )
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"service: the SDK cannot be installed ({type(error).__name__})")
    return FOLDER / "client.mjs"


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_registers_and_runs_the_whole_flow(script, site, person, method):
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    client = subprocess.Popen(
        ["node", script, f"{site}/api/whoever", REDIRECT_URI, method],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        line = client.stdout.readline()
        assert line, client.stderr.read()
        client.stdin.write(person.answer(json.loads(line)["open"]) + "\n")
        output, complaints = client.communicate(timeout=60)
    finally:
        client.kill()
        client.wait()
    assert output, complaints
    said = json.loads(output)
    assert said == {
        "steps": ["REDIRECT", "AUTHORIZED", "AUTHORIZED"],
        "status": 200,
        "renewed": True,
        "hasSecret": method != "none",
    }
    assert Application.objects.get().registration_source == "dcr"
