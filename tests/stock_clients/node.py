"""Node and the clients that it runs: installed once, outside version control, and spoken to in lines of JSON."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "var" / "stock_clients"
#: Seconds that npm, and one client, may take.
INSTALL_TIMEOUT = 240
RUN_TIMEOUT = 180


class Node:
    """The folder that the clients run in.

    Attributes:
        folder: Holds the scripts of this directory and ``node_modules``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, script: str, *arguments: object, answer: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Run *script*; each line it prints is a question for *answer*, but for the last, which is returned.

        A question is an object with the member ``ask``; what *answer* returns goes back as one line of JSON.
        """
        environment = {
            name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
        }
        words = [word if isinstance(word, str) else json.dumps(word) for word in arguments]
        client = subprocess.Popen(
            ["node", self.folder / script, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        try:
            for line in client.stdout:
                said = json.loads(line)
                if "ask" not in said:
                    return said
                client.stdin.write(json.dumps(answer(said)) + "\n")
                client.stdin.flush()
            raise AssertionError(client.stderr.read())
        finally:
            client.kill()
            client.communicate(timeout=RUN_TIMEOUT)


def installed() -> Node:
    """Return Node with everything that ``package.json`` names; skip where it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("service: no Node here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Released with the file: one worker of a test run installs, the others find it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
    return Node(FOLDER)


def _install() -> None:
    for file in [*HERE.glob("*.mjs"), HERE / "package.json"]:
        shutil.copyfile(file, FOLDER / file.name)
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    if any(_version(name) != version for name, version in wanted.items()):
        try:
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
                cwd=FOLDER,
                check=True,
                capture_output=True,
                timeout=INSTALL_TIMEOUT,
            )
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"service: the clients cannot be installed ({type(error).__name__})")


def _version(package: str) -> str:
    try:
        return json.loads((FOLDER / "node_modules" / package / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        return ""
