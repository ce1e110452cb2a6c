"""``manage.py demo`` and ``serve_demo`` as a newcomer runs them: from a shell, on SQLite, with nothing set up."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from example_project.demo import DemoError, Narrator
from example_project.demo_client import Browser, PageSeen

ROOT = Path(__file__).resolve().parent.parent.parent
FLOW_ENDS_WITH = "users: 1   identities: 1   vault rows: 0   deferred registrations: 0   live tokens: 0"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The shell of somebody whose own database must stay as it is; temporary files end up where we see them."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "SITE_VAR_DIR": str(tmp_path / "var"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/mine.sqlite3",
        "TMPDIR": str(tmp_path),
    }


def _hear_interrupts() -> None:
    """Run as a shell's background job we ignore SIGINT, and what we start would too: it has to hear it again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(*arguments: str, env: dict[str, str], output: Path) -> Iterator[subprocess.Popen[str]]:
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_hear_interrupts,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def left_behind(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith("lazyauth-")]


@pytest.mark.slow
def test_the_demo_keeps_every_promise_it_prints(environment, tmp_path):
    """Nobody is written before the exchange, a failed one leaves the code good, a replay ends it all (I1 to I4)."""
    output = tmp_path / "output"
    with running("demo", env=environment, output=output) as process:
        code = process.wait(100)
    printed = output.read_text()
    assert code == 0, printed
    assert "Everything was as promised" in printed
    assert '500 {"error": "server_error"}' in printed
    assert "GET /api/whoami: Ada Lovelace" in printed
    assert "tools/call read_notes: “Note G" in printed
    assert "renewed it first, version 1 → 2" in printed
    assert "the upstream's came out; another's: 401" in printed
    assert "Signed in as ada@" in printed
    assert "$(lazyauth token)" in printed
    assert "Ada Lovelace, through agent" in printed
    assert "the same assertion again: 400 invalid_grant" in printed
    assert printed.count(FLOW_ENDS_WITH) == 2
    assert "\x1b[" not in printed
    assert not (tmp_path / "mine.sqlite3").exists()
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_a_demo_that_cannot_be_played_says_why(environment, tmp_path):
    """No upstream, no demo: the end is non-zero, names the reason, and leaves no process and no file behind."""
    fault = "import sys\nif 'prepare_upstream' in sys.orig_argv: raise SystemExit('no upstream today')\n"
    (tmp_path / "sitecustomize.py").write_text(fault)
    output = tmp_path / "output"
    with running("demo", env={**environment, "PYTHONPATH": str(tmp_path)}, output=output) as process:
        code = process.wait(60)
    assert code == 1
    assert "prepare_upstream" in output.read_text()
    assert "no upstream today" in output.read_text()
    assert left_behind(tmp_path) == []


def test_a_row_too_many_ends_the_demo(tmp_path):
    """What is printed about the database was counted, not assumed."""
    database = tmp_path / "site.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            """
            CREATE TABLE auth_user (id);
            CREATE TABLE lazyauth_provideridentity (id);
            CREATE TABLE lazyauth_upstreamtoken (id);
            CREATE TABLE lazyauth_deferredregistration (id);
            CREATE TABLE oauth2_provider_accesstoken (expires);
            CREATE TABLE oauth2_provider_refreshtoken (revoked);
            INSERT INTO auth_user VALUES (1);
            INSERT INTO oauth2_provider_accesstoken VALUES ('2000-01-01 00:00:00'), ('2999-01-01 00:00:00');
            INSERT INTO oauth2_provider_refreshtoken VALUES (NULL), ('2000-01-01 00:00:00');
            """
        )
    printed = StringIO()
    narrator = Narrator(Console(file=printed), database)
    narrator.standing(users=1, live_tokens=2)
    assert "users: 1" in printed.getvalue()
    with pytest.raises(DemoError, match="users=1"):
        narrator.standing(live_tokens=2)


def wait_for(pattern: str, output: Path, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, output.read_text()):
            return found.group(0)
        time.sleep(0.1)
    raise AssertionError(f"{pattern} never came:\n{output.read_text()}")


def arrive(link: str) -> PageSeen:
    """Click as the terminal says, up to the page that receives the code."""
    with Browser(stop_at="nowhere:") as browser:
        page = browser.open(link)
        for button in ("Demo Upstream", "Grace Hopper", "Allow"):
            assert isinstance(page, PageSeen)
            page = browser.press(page, button)
    assert isinstance(page, PageSeen)
    assert page.heading == "The code has arrived at the client"
    return page


def redeem_as_the_page_says(page: PageSeen) -> httpx.Response:
    """Do what the command on the page does."""
    program, *arguments = shlex.split(page.soup.find("pre").get_text())
    assert program == "curl"
    form = dict(argument.split("=", 1) for argument in arguments[1:-1:2])
    return httpx.post(arguments[-1], data=form, trust_env=False)


@pytest.mark.slow
def test_serving_prints_a_link_that_works_and_ends_with_its_servers(environment, tmp_path):
    output = tmp_path / "output"
    with running("serve_demo", env=environment, output=output) as process:
        wait_for("Ctrl-C stops both", output, process)
        link = wait_for(r"http://127\.0\.0\.1:\d+/authorize\?\S+", output, process)
        tokens = redeem_as_the_page_says(arrive(link))
        assert tokens.status_code == 200, tokens.text
        assert tokens.json()["refresh_token"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(link, trust_env=False)
    assert left_behind(tmp_path) == []
