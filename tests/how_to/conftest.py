"""The built wheel, in an environment of its own, and a site as the tutorial makes it: what the pages begin with."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import tests.support.patience  # noqa: F401 - see there
from tests.support.migrated import BUILD
from tests.support.reader import ROOT, Reader, wait_for
from tests.support.two_sites import free_port

#: What the tutorial says before a page of its own goes on.
FIRST_STEPS = ("2. Settings", "3. A tool")


@pytest.fixture(scope="session")
def kept() -> Path:
    """A folder for what is made of this very package once, as the tests' migrated database is."""
    made_of = hashlib.sha256()
    sources = [*(ROOT / "django_lazyauth").rglob("*"), *(ROOT / "requirements").iterdir()]
    for file in sorted([*sources, ROOT / "docs/tutorial.md"]):
        if file.is_file() and file.suffix != ".pyc":
            made_of.update(str(file).encode() + file.read_bytes())
    folder = BUILD / f"how_to-{made_of.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(BUILD.glob("how_to-*")) - {folder}:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def once(path: Path, make: Callable[[Path], None]) -> Path:
    """Make *path*, unless that is done."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = path.with_suffix(".done")
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            done.touch()
    return path


@pytest.fixture(scope="session")
def wheel(kept) -> Path:
    """The folder of the built wheel."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    return once(kept / "wheel", build)


@pytest.fixture(scope="session")
def installed(kept, wheel) -> Path:
    """An environment that has the wheel, and the pinned versions of everything else."""

    def install(folder: Path) -> None:
        python = folder / "bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
        ]
        subprocess.run([*command, *wheel.glob("*.whl")], check=True)
        [packages] = folder.glob("lib/python*/site-packages")
        (packages / "pinned.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        for script in Path(sysconfig.get_path("scripts")).iterdir():
            take_along(script, python)

    return once(kept / "environment", install)


def take_along(script: Path, python: Path) -> None:
    """Let a program of the pinned packages, such as gunicorn, run in the environment of *python*."""
    copy = python.parent / script.name
    if script.is_file() and not copy.exists() and script.read_bytes().startswith(b"#!/"):
        first, _, rest = script.read_text().partition("\n")
        if "python" in first:
            copy.write_text(f"#!{python}\n{rest}")
            copy.chmod(0o755)


@pytest.fixture(scope="session")
def first_steps(kept, installed) -> Path:
    """The site that the tutorial has after its third step, without its tool."""

    def follow(folder: Path) -> None:
        folder.mkdir()
        reader = Reader(folder, environment(installed))
        reader.type("django-admin startproject mysite .")
        reader.write("mysite/settings.py", APPS, end=True)
        reader.names = {".venv/bin/python": "python"}
        reader.follow("tutorial.md", *FIRST_STEPS)

    return once(kept / "site", follow)


APPS = 'INSTALLED_APPS += ["oauth2_provider", "rest_framework", "django_lazyauth"]\n'


def environment(installed: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO", "LAZYAUTH", "PIP_", "COVERAGE"))
        and not name.lower().endswith("_proxy")
    }
    return kept | {
        "PATH": os.pathsep.join([str(installed / "bin"), os.environ["PATH"]]),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture
def reader(installed, tmp_path) -> Iterator[Callable[..., Reader]]:
    """Make readers: ``reader("a folder", names={…})``. What they started ends with the test."""
    with ExitStack() as stack:

        def make(folder: str, names: dict[str, str] | None = None) -> Reader:
            path = tmp_path / folder
            path.mkdir(exist_ok=True)
            one = Reader(path, environment(installed), names)
            stack.callback(one.stop)
            return one

        yield make


@pytest.fixture
def site(first_steps, reader) -> Reader:
    """A reader who followed the tutorial to its third step, on a port of their own."""
    one = reader("site")
    settle(one, first_steps)
    return one


def settle(one: Reader, first_steps: Path) -> None:
    """Give a reader a copy of the site, and a port for it."""
    port = str(free_port())
    shutil.copytree(first_steps, one.folder, dirs_exist_ok=True)
    one.names |= {
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "--port 8000": f"--port {port}",
        "manage.py runserver": f"manage.py runserver --noreload {port}",
    }
    settings = one.folder / "mysite/settings.py"
    settings.write_text(one.mine(settings.read_text()))


def own_browser(reader: Reader) -> Callable[[], str]:
    """Let programs open a browser that only notes the address; return what waits for one."""
    opened = reader.folder / "opened"
    script = reader.folder / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    script.chmod(0o755)
    reader.environment = reader.environment | {"BROWSER": f"{script} %s"}

    def wait() -> str:
        wait_for(lambda: opened.exists() and opened.read_text())
        return opened.read_text()

    return wait
