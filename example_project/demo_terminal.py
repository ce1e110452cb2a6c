"""The third party of the demo: a terminal of Ada's with the commands of ``django_lazyauth.client``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS = 60


class Terminal:
    """Runs ``lazyauth …`` on a machine of its own: no keyring, and a home in *directory*. Ends what it began."""

    def __init__(self, directory: Path) -> None:
        self._environment = os.environ | {
            "XDG_DATA_HOME": str(directory),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "LAZYAUTH_PLAINTEXT": "1",
            "NO_PROXY": "127.0.0.1",
        }
        self._begun: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._begun is not None:
            self._begun.kill()
            self._begun.communicate()

    def begin(self, *arguments: str) -> str:
        """Begin a command that waits for its person, and return the first line that it tells them."""
        self._begun = self._start(*arguments)
        assert self._begun.stderr is not None
        return self._begun.stderr.readline().strip()

    def end(self) -> str:
        """Return what the command printed that was begun."""
        assert self._begun is not None
        process, self._begun = self._begun, None
        return self._printed(process)

    def run(self, *arguments: str) -> str:
        """Return what a command prints.

        Raises:
            LookupError: It failed.
        """
        return self._printed(self._start(*arguments))

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "django_lazyauth.client.commands", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _printed(self, process: subprocess.Popen[str]) -> str:
        printed, errors = process.communicate(timeout=SECONDS)
        if process.returncode:
            raise LookupError(f"A command exited with {process.returncode}: {errors}")
        return printed.strip()


def code_in(told: str) -> tuple[str, str]:
    """Return the page and the code of ``Open … and type the code …``."""
    found = re.fullmatch(r"Open (\S+) and type the code (\S+)", told)
    if found is None:
        raise LookupError(f"There is no code in {told!r}.")
    return found[1], found[2]
