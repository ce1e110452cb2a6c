"""Schemes of URIs that open an app (RFC 8252 §7.1): the well-known ones, and those that never are one."""

from __future__ import annotations

from typing import Any, Final

from . import kinds
from .setting import Kind, Refused

#: Apps that MCP servers know as clients, by the scheme that opens them.
APP_SCHEMES = [
    "antigravity",
    "claude",
    "cursor",
    "goose",
    "kiro",
    "raycast",
    "trae",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "warp",
    "windsurf",
    "zed",
]
#: Schemes that run or read something in the browser instead of going to an app.
DANGEROUS_SCHEMES: Final = frozenset(
    {"about", "blob", "data", "file", "filesystem", "ftp", "http", "javascript", "vbscript", "ws", "wss"}
)


def _scheme(value: Any) -> str:
    found = kinds.text(value, pattern=r"[a-z][a-z0-9+.-]{0,63}")
    if found in {*DANGEROUS_SCHEMES, "https"}:
        raise Refused(hint=f'"{found}" opens no app.')
    return found


SCHEMES: Kind[tuple[str, ...]] = kinds.items("a list of URI schemes of apps", _scheme)
