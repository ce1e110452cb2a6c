"""Keyrings for tests: one in memory that can be told to fail, and one on disk that processes share."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote


class KeyringBroke(Exception):
    """What a backend raises is its library's own business."""


class MemoryKeyring:
    """Keeps slots in memory.

    Attributes:
        slots: Their texts by name.
        calls: What was asked, such as ``get ada``.
        fail_at: Numbers of the calls that fail, from 0.
        is_away: Every call fails.
    """

    def __init__(self) -> None:
        self.slots: dict[str, str] = {}
        self.calls: list[str] = []
        self.fail_at: set[int] = set()
        self.is_away = False

    def get_password(self, service, username):
        self._called("get", username)
        return self.slots.get(username)

    def set_password(self, service, username, password):
        self._called("set", username)
        self.slots[username] = password

    def delete_password(self, service, username):
        self._called("delete", username)
        self.slots.pop(username, None)

    def fail_from_now(self, *numbers: int) -> None:
        self.calls.clear()
        self.fail_at = set(numbers)

    def _called(self, verb: str, username: str) -> None:
        number = len(self.calls)
        self.calls.append(f"{verb} {username}")
        if self.is_away or number in self.fail_at:
            raise KeyringBroke(verb)


class DiskKeyring:
    """Keeps a slot a file. Each change is one call of the operating system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def get_password(self, service, username):
        path = self._path(username)
        return path.read_text() if path.exists() else None

    def set_password(self, service, username, password):
        new = self._path(username).with_suffix(".next")
        new.write_text(password)
        new.replace(self._path(username))

    def delete_password(self, service, username):
        if self._path(username).exists():
            self._path(username).unlink()

    def _path(self, username: str) -> Path:
        return self.directory / quote(username, safe="")
