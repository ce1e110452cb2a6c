"""The packages of the providers: installed once, outside version control, in the versions that stand beside this."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / "var" / "real_providers"
#: Seconds that npm may take.
INSTALL_TIMEOUT = 240

NPM: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]


def install_from_npm() -> Path:
    """Return the folder of ``node_modules`` and the scripts; skip where it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("service: no Node here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Released with the file: one worker of a test run installs, the others find it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in [*HERE.glob("servers/*.mjs"), HERE / "package.json"]:
            shutil.copyfile(file, FOLDER / file.name)
        if any(_installed(name) != version for name, version in NPM.items()):
            _run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    return FOLDER


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
