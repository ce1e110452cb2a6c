"""Issue 16: the tutorial's commands and files, as they are written, from the built wheel in an empty environment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/tutorial.md"
BLOCK = re.compile(r"^```(console|python|py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ADDRESS, PASSWORD = "ada@people.example", "correct horse battery staple"

# It installs packages, and waits for a site and a client.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def interpreter(version: str) -> str:
    """Return a Python of *version*, from the PATH or from pyenv."""
    of_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (sys.executable, f"python{version}", *map(str, reversed(of_pyenv))):
        with contextlib.suppress(OSError):
            ask = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            said = subprocess.run(ask, capture_output=True, text=True, check=False)
            if said.stdout.strip() == version:
                return candidate
    pytest.skip(f"service: no Python {version} here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The folder of the built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def ports() -> Iterator[None]:
    """The tutorial has ports of its own, so one test at a time follows it."""
    with (Path(tempfile.gettempdir()) / "lazyauth-tutorial.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.running: dict[str, subprocess.Popen[str]] = {}

    def follow(self) -> None:
        for kind, text in BLOCK.findall(PAGE.read_text()):
            if kind != "console":
                self.write(text)
                continue
            for line in text.splitlines():
                self.type(line.removeprefix("$ "))

    def write(self, text: str) -> None:
        """The first line of a block names its file."""
        place, _, content = text.removeprefix("# ").partition("\n")
        name = place.removeprefix("at the end of ")
        with (self.folder / name).open("a" if name != place else "w") as file:
            file.write(content)

    def type(self, line: str) -> None:
        last = shlex.split(line)[-1]
        if last in ("runserver", "client.py"):
            self.start(last, line)
            return
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if "pip install" in line and "NewConnectionError" in done.stderr:
            pytest.skip("service: no package registry here")
        assert done.returncode == 0, (line, done.stdout, done.stderr)

    def start(self, name: str, line: str) -> None:
        with (self.folder / f"{name}.log").open("w") as log:
            self.running[name] = subprocess.Popen(
                shlex.split(line),
                cwd=self.folder,
                env=self.environment | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        if name == "runserver":
            wait_for(lambda: self.answers("/health"))

    def answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:8000{path}", trust_env=False).status_code == 200
        return False

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def found(self, name: str, pattern: str) -> str:
        """Wait for a text in the log of *name*, and return its first group."""
        wait_for(lambda: re.search(pattern, self.log(name)))
        found = re.search(pattern, self.log(name))
        assert found is not None
        return found[1]

    def stop(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def wait_for(condition) -> None:
    ends_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def submit(http: httpx.Client, page: httpx.Response, **values: str) -> httpx.Response:
    """Fill in the first form of the page and send it."""
    form = BeautifulSoup(page.text, "html.parser").find("form")
    assert form is not None, page.text
    fields = {one["name"]: one.get("value", "") for one in form.find_all("input") if one.get("name")}
    return http.post(form["action"], data=fields | values)


def sign_in(reader: Reader) -> None:
    """What the last section says: open the address, register, type the code, allow."""
    base = "http://127.0.0.1:8000"
    with httpx.Client(base_url=base, follow_redirects=True, trust_env=False, timeout=60) as http:
        page = submit(http, http.get(reader.found("client.py", r"Open (\S+)")), provider="password")
        page = http.get(f"{page.url.path}?step=register")
        page = submit(http, page, email=ADDRESS, password=PASSWORD)
        code = reader.found("runserver", r"\n +([0-9A-Z]{4}-[0-9A-Z]{4})\r?\n")
        page = submit(http, page, code=code)
        assert "Read your notes" in page.text
        submit(http, page, decision="allow")


@pytest.mark.parametrize("version", ["3.11", "3.13"])
@pytest.mark.usefixtures("ports")
def test_the_tutorial_leads_to_a_sign_in(version, wheel, tmp_path):
    """With Python 3.11 and Django 5.2, and with Python 3.13 and the newest Django."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python3").symlink_to(interpreter(version))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO", "LAZYAUTH"))
    }
    environment = kept | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheel),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    folder = tmp_path / "site"
    folder.mkdir()
    reader = Reader(folder, environment)
    try:
        reader.follow()
        sign_in(reader)
        assert f'"of": "{ADDRESS}"' in reader.found("client.py", r"(\{.*\})").replace('":"', '": "')
    finally:
        reader.stop()
    refused = subprocess.run(
        [folder / ".venv/bin/python", "manage.py", "check", "--deploy"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "lazyauth.E101" in refused.stderr
    assert "Traceback" not in refused.stderr
