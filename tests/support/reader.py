"""Somebody who does what a page of ``docs/`` says, in a folder of their own, outside of the repository.

What a block of a page says is done as it is written:

- A block whose first line is a comment with the name of a file is that file, or its end: ``# mysite/urls.py``,
  ``// app.js``, ``<!-- index.html -->``, ``# at the end of mysite/settings.py``.
- A ``diff`` names its file the same way; the lines that it takes out or keeps are there.
- A block that begins with ``"NAME":`` is put into ``LAZYAUTH``, at the end of the settings.
- Lines that begin with ``$`` are typed. Other lines of a ``console`` block are what is printed then; ``…`` stands for
  anything.

A reader puts their own names in place of those of the page: see :attr:`Reader.names`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Or a heading.
_PARTS = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$|^(#+) ([^\n]*)$", re.DOTALL | re.MULTILINE)
_PLACE = re.compile(r"(?:#|//|<!--) (at the end of )?([\w./-]*(?:\.\w+|Dockerfile))(?: -->)?")
#: What is typed into a terminal of its own, because it stays or waits for somebody → what it prints when it is ready.
_STAYS = {
    r"manage\.py runserver": "development server at",
    r"^gunicorn ": "Booting worker",
    r"^uvicorn ": "Application startup complete",
    r"^celery -A \w+ worker": r"\[queues\]",
    r"^celery -A \w+ beat": "is starting",
    r"http\.server ": "Serving HTTP",
    r"tools\.py$": "Uvicorn running",
    r"(client|call|things)\.py$|lazyauth login|lazyauth_worker$": "",
}
#: Seconds.
PATIENCE = 120


@dataclass(frozen=True)
class Block:
    """One block of a page, and the heading above it."""

    heading: str
    language: str
    text: str

    @property
    def place(self) -> re.Match[str] | None:
        """What names the file."""
        return _PLACE.fullmatch(self.text.partition("\n")[0])

    @property
    def is_setting(self) -> bool:
        return re.match(r'"[A-Z_]+":', self.text) is not None


def blocks_of(page: str) -> Iterator[Block]:
    """Read the blocks of a page below ``docs/``, in their order."""
    heading = ""
    for indent, language, text, marks, title in _PARTS.findall((ROOT / "docs" / page).read_text()):
        if marks:
            heading = title
        else:
            yield Block(heading, language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))


class Reader:
    """See the module.

    Attributes:
        folder: The working directory.
        environment: Of what is typed. ``export`` and ``set -a`` change it.
        names: What the page calls something → what it is here, such as a host or a port.
        keep: Name → the pattern of a value that is printed. The reader copies it, and the page has it as ``$NAME``.
        terminals: What was typed and stays → its process.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str], names: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.environment = environment
        self.names = names or {}
        self.keep: dict[str, str] = {}
        self.settings = "mysite/settings.py"
        self.terminals: dict[str, subprocess.Popen[str]] = {}

    def follow(self, page: str, *headings: str, skip: tuple[str, ...] = ()) -> None:
        """Do all that the page says, or what it says below these headings, but for those to *skip*.

        A heading that is not there fails, and so does a block that a reader could not do.
        """
        blocks = list(blocks_of(page))
        assert blocks, page
        assert {block.heading for block in blocks} >= {*headings, *skip}, (page, headings, skip)
        for block in blocks:
            if (not headings or block.heading in headings) and block.heading not in skip:
                self.do(block)

    def do(self, block: Block) -> None:
        text = self.mine(block.text)
        if block.language == "diff":
            self.change(text)
        elif block.place is not None:
            self.write(self.mine(block.place[2]), text.partition("\n")[2], end=bool(block.place[1]))
        elif block.is_setting:
            self.write(self.settings, f"LAZYAUTH |= {{\n{text}}}\n", end=True)
        elif block.language == "console":
            for command, said in commands(text):
                self.type(command, said)
        else:
            # What somebody sees, such as an answer in JSON, is for the test to look at.
            assert block.language in ("json", "text"), block

    def mine(self, text: str) -> str:
        """Put the reader's own names in place of those of the page; the longest first."""
        for theirs in sorted(self.names, key=len, reverse=True):
            text = text.replace(theirs, self.names[theirs])
        return text

    def write(self, name: str, content: str, *, end: bool = False) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if end else "w") as file:
            file.write(content)

    def change(self, text: str) -> None:
        """Change a file as the lines after its name say: without those with ``-``, and with those with ``+``."""
        first, _, rest = text.rstrip("\n").partition("\n")
        name, lines = first.removeprefix("# "), rest.split("\n")
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        assert self.read(name).count(before) == 1, (name, before)
        self.write(name, self.read(name).replace(before, after))

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    # -- the terminal ------------------------------------------------------------------------------------

    def type(self, command: str, said: str = "") -> str:
        """Type *command*; return what it prints. It must succeed, and print what the page shows."""
        ready = next((said for program, said in _STAYS.items() if re.search(program, command)), None)
        if ready is not None:
            self.open_terminal(command)
            log = self._log(command)
            wait_for(lambda: re.search(ready, log.read_text()), log.read_text)
            return ""
        is_kept = command.startswith(("export ", "set -a"))
        done = self.try_(f"{command} && env -0 > .environment" if is_kept else command)
        if "pip install" in command and "NewConnectionError" in done.stderr:
            pytest.skip("service: no package registry here")
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if is_kept:
            lines = self.read(".environment").split("\0")
            self.environment = dict(line.split("=", 1) for line in lines if line)
        assert shown(said).search(done.stdout + done.stderr), (command, said, done.stdout + done.stderr)
        copied = {name: re.search(pattern, done.stdout) for name, pattern in self.keep.items()}
        self.environment = self.environment | {name: found[1] for name, found in copied.items() if found}
        return done.stdout

    def try_(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run *command* in a shell, whether or not it succeeds."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    def open_terminal(self, command: str) -> None:
        """Leave *command* running; :meth:`log` has what it prints."""
        with self._log(command).open("w") as log:
            self.terminals[command] = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def _log(self, command: str) -> Path:
        return self.folder / (re.sub(r"\W+", "-", command)[-100:] + ".log")

    def _typed(self, part: str) -> str:
        [command] = [command for command in self.terminals if part in command]
        return command

    def log(self, part: str) -> str:
        """Return what the command that contains *part* has printed."""
        return self._log(self._typed(part)).read_text()

    def found(self, part: str, pattern: str) -> str:
        """Wait for a text in the log of a command, and return its first group."""
        wait_for(lambda: re.search(pattern, self.log(part)), lambda: self.log(part))
        found = re.search(pattern, self.log(part))
        assert found is not None
        return found[1]

    def answers(self, url: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url, trust_env=False, timeout=10).status_code < 500
        return False

    def wait_until_up(self, url: str) -> None:
        wait_for(lambda: self.answers(url), lambda: str([self.log(command) for command in self.terminals]))

    def wait_for_end(self, part: str) -> int:
        """Wait until the command has ended by itself; return its exit status."""
        return self.terminals[self._typed(part)].wait(timeout=PATIENCE)

    def close_terminal(self, part: str) -> int:
        """End a command as a service manager would; return its exit status."""
        process = self.terminals[self._typed(part)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        status = process.wait(timeout=30)
        del self.terminals[self._typed(part)]
        return status

    def stop(self) -> None:
        for command in list(self.terminals):
            self.close_terminal(command)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Read what is typed in a block, and what is printed then."""
    text = text.replace("\\\n", " ")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, said = part.partition("\n")
        yield command, said


def shown(said: str) -> re.Pattern[str]:
    """Return a pattern of what a page shows: ``…`` is anything, and lines may be broken elsewhere."""
    return re.compile(r"\s*".join(map(re.escape, said.split())).replace("…", ".*"), re.DOTALL)


def wait_for(condition: Callable[[], object], why: Callable[[], str] = lambda: "") -> None:
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at, why()
        time.sleep(0.1)
