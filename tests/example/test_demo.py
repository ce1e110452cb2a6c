"""``manage.py demo`` and ``serve_demo`` as a newcomer runs them: from a shell, on SQLite, with nothing set up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

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
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def left_behind(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith("lazyauth-")]


def test_the_demo_keeps_every_promise_it_prints(environment, tmp_path):
    """Spec 1: nobody is written before the exchange, a failed one leaves the code good, a replay ends it all (I1–I4)."""
    output = tmp_path / "output"
    with running("demo", env=environment, output=output) as process:
        code = process.wait(100)
    printed = output.read_text()
    assert code == 0, printed
    assert "Everything was as promised" in printed
    assert '500 {"error": "server_error"}' in printed
    assert FLOW_ENDS_WITH in printed
    assert "\x1b[" not in printed
    assert not (tmp_path / "mine.sqlite3").exists()
    assert left_behind(tmp_path) == []


def test_a_demo_that_cannot_be_played_says_why(environment, tmp_path):
    """A broken promise is a non-zero end with its reason; here nothing can be written at all."""
    environment["TMPDIR"] = environment["HOME"] = "/proc/nowhere"
    output = tmp_path / "output"
    with running("demo", env=environment, output=output) as process:
        code = process.wait(60)
    assert code != 0
    assert output.read_text().strip()


def wait_for(pattern: str, output: Path, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, output.read_text()):
            return found.group(0)
        time.sleep(0.1)
    raise AssertionError(f"{pattern} never came:\n{output.read_text()}")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_serving_prints_a_link_that_works_and_ends_with_its_servers(environment, tmp_path, end):
    output = tmp_path / "output"
    with running("serve_demo", env=environment, output=output) as process:
        wait_for("Ctrl-C stops both", output, process)
        link = wait_for(r"http://127\.0\.0\.1:\d+/authorize\?\S+", output, process)
        page = httpx.get(link, trust_env=False)
        assert page.status_code == 200
        assert "Demo Client" in page.text
        process.send_signal(end)
        assert process.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(link, trust_env=False)
    assert left_behind(tmp_path) == []
