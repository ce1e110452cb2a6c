"""Issue 16: the tutorial's commands and files, as they are written, from the built wheel in an empty environment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.reader import Reader

from .person import ADDRESS, Person

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


@pytest.fixture
def ports() -> Iterator[None]:
    """The tutorial has ports of its own, so one test at a time follows it."""
    with (Path(tempfile.gettempdir()) / "lazyauth-tutorial.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
        reader.follow("tutorial.md")
        reader.wait_until_up("http://127.0.0.1:8000/health")
        with Person(reader) as person:
            person.sign_up(reader.found("client.py", r"Open (\S+)"))
        assert "Read your notes" in person.asks
        assert f'"of": "{ADDRESS}"' in reader.found("client.py", r"(\{.*\})").replace('":"', '": "')
    finally:
        reader.stop()
    refused = reader.try_(".venv/bin/python manage.py check --deploy")
    assert refused.returncode == 1
    assert "lazyauth.E101" in refused.stderr
    assert "Traceback" not in refused.stderr
