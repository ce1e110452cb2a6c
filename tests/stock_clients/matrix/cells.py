"""The matrix of clients: what each can be here, how it proves itself, and how it asks.

A cell is done by the client, or has the reason why that client cannot.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Final

#: Where what is known of the client comes from.
KINDS: Final = ("document", "registration", "pre-made")
#: How it proves itself.
METHODS: Final = ("secret", "key", "public")
#: How it asks. Each is a session of its own: code, refresh, and a call of an API.
WAYS: Final = ("plain", "PAR", "DPoP")
#: With a key: what a site of ``PROFILE = "fapi2"`` asks for.
ALL: Final = "PAR + DPoP"

_OF_NPM: Final[dict[str, str]] = json.loads((Path(__file__).parents[1] / "package.json").read_text())[
    "dependencies"
]

NO_SECRET_IN_DOCUMENT: Final = "Anybody can read a document, so it holds no secret."


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    Attributes:
        cannot: (kind, method, way) → why this client cannot. ``*`` stands for all.
    """

    name: str
    cannot: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """That which the tests install."""
        return _OF_NPM[self.name] if self.name in _OF_NPM else version(self.name)

    def reason(self, kind: str, method: str, way: str) -> str:
        """Return why the client cannot do this; empty if it can."""
        if (kind, method) == ("document", "secret"):
            return NO_SECRET_IN_DOCUMENT
        for part in way.split(" + "):
            for names, reason in self.cannot.items():
                if all(name in ("*", value) for name, value in zip(names, (kind, method, part), strict=True)):
                    return reason
        return ""

    def ways(self, kind: str, method: str) -> list[str]:
        return [way for way in ways_of(method) if not self.reason(kind, method, way)]


def ways_of(method: str) -> tuple[str, ...]:
    """Return the columns of *method*."""
    return (*WAYS, ALL) if method == "key" else WAYS


NO_PAR: Final = "It does not push requests."
NO_DPOP: Final = "It makes no proofs."
ONLY_MACHINES: Final = "With a key it acts for itself only, which no client may that registered itself."

CLIENTS: Final = (
    Client("openid-client"),
    Client("oauth4webapi"),
    Client("@modelcontextprotocol/client", {("*", "*", "PAR"): NO_PAR}),
    Client("Authlib", {("*", "*", "PAR"): NO_PAR, ("*", "*", "DPoP"): NO_DPOP}),
    Client("requests_oauth2client"),
    Client(
        "mcp",
        {
            ("document", "key", "*"): ONLY_MACHINES,
            ("registration", "key", "*"): ONLY_MACHINES,
            ("*", "*", "PAR"): NO_PAR,
            ("*", "*", "DPoP"): NO_DPOP,
        },
    ),
)

ROWS: Final = [
    (client, kind, method)
    for client, kind, method in product(CLIENTS, KINDS, METHODS)
    if client.ways(kind, method)
]


def name_of(row: tuple[Client, str, str]) -> str:
    client, kind, method = row
    return f"{client.name}, {kind}, {method}"
