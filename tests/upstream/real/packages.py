"""The packages of the providers: installed once, outside version control, in the versions that stand beside this."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / "var" / "real_providers"
#: Seconds that npm, and pip, may take.
INSTALL_TIMEOUT = 240

NPM: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
_REQUIREMENTS = (HERE / "requirements.txt").read_text()
PYPI = {
    line.partition("[")[0].partition("==")[0]: line.partition("==")[2] for line in _REQUIREMENTS.splitlines()
}


def install_from_npm() -> Path:
    """Return the folder of ``node_modules`` and the scripts; skip where it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("service: no Node here")
    with _locked():
        for file in [*HERE.glob("servers/*.mjs"), HERE / "package.json"]:
            shutil.copyfile(file, FOLDER / file.name)
        if any(_installed(name) != version for name, version in NPM.items()):
            _run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    return FOLDER


def install_from_pypi() -> Path:
    """Return the interpreter of an environment that has them; skip where it cannot be had."""
    python, stamp = FOLDER / "venv" / "bin" / "python", FOLDER / "venv" / "requirements.txt"
    with _locked():
        if not stamp.exists() or stamp.read_text() != _REQUIREMENTS:
            _run(sys.executable, "-m", "venv", "--clear", "venv")
            _run(str(python), "-m", "pip", "install", "--no-compile", "-r", str(HERE / "requirements.txt"))
            stamp.write_text(_REQUIREMENTS)
    return python


@contextmanager
def _locked() -> Iterator[None]:
    """One worker of a test run installs, the others find it done."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Released with the file.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installed(package: str) -> str:
    try:
        return json.loads((FOLDER / "node_modules" / package / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        return ""


def _run(*command: str) -> None:
    try:
        subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=INSTALL_TIMEOUT)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"service: the providers cannot be installed ({type(error).__name__})")
