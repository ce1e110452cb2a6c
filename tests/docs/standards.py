"""The standards in ``docs/compatibility.md``: which are kept, and which are not.

``python -m tests.docs.standards`` writes them anew. A standard that is kept is named by the docstring of a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
PAGE: Final = TESTS.parent / "docs" / "compatibility.md"
_BLOCK = re.compile(r"(<!-- table: STANDARDS -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Standard:
    """One standard.

    Attributes:
        name: As tests name it in their docstrings.
        title: Its title, shortened.
        kept: What of it is served; empty if nothing is.
        left_out: What is not, and why.
    """

    name: str
    title: str
    kept: str
    left_out: str = ""


STANDARDS: Final = (
    Standard(
        "RFC 6749", "OAuth 2.0", "code, refresh token, client credentials", "implicit, password: OAuth 2.1"
    ),
    Standard("RFC 6750", "Bearer tokens", "in the header", "in the form and in the URL: OAuth 2.1"),
    Standard("RFC 7009", "Revocation", "yes"),
    Standard("RFC 7591", "Dynamic registration", "yes", "software statements"),
    Standard("RFC 7592", "Managing a registration", "yes"),
    Standard("RFC 7636", "PKCE", "S256, always", "plain"),
    Standard("RFC 7662", "Introspection", "yes"),
    Standard(
        "RFC 7523",
        "JWTs of clients",
        "§2.2, client authentication; §2.1 as a grant, where `id_jag` is set",
        "other JWTs as a grant",
    ),
    Standard("RFC 8252", "Native apps", "loopback at any port, schemes in reverse-DNS form"),
    Standard("RFC 8414", "Metadata of the server", "yes", "signed metadata"),
    Standard("RFC 8628", "Devices without a browser", "where `DEVICE_FLOW` is on"),
    Standard("RFC 8707", "Resource indicators", "yes"),
    Standard("RFC 9068", "Access tokens as JWTs", "yes"),
    Standard("RFC 9101", "Signed requests", "by value, where `REQUEST_OBJECTS` is on", "by a URL, encrypted"),
    Standard("RFC 9126", "Pushed requests", "yes"),
    Standard("RFC 9207", "`iss` in the answer", "yes"),
    Standard("RFC 9449", "DPoP", "yes"),
    Standard("RFC 9470", "Step-up", "yes"),
    Standard("RFC 9700", "Security of OAuth 2.0", "what it asks of servers"),
    Standard("RFC 9728", "Metadata of a resource", "yes", "signed metadata"),
    Standard("RFC 8693", "Token exchange", "where `TOKEN_EXCHANGE` names clients", "impersonation"),
    Standard("RFC 8705", "Mutual TLS", "", "TLS ends before Django"),
    Standard("RFC 9396", "Rich requests", "", "no client of MCP sends them"),
    Standard("OpenID Connect Core", "OpenID Connect", "code flow", "implicit and hybrid flow, encryption"),
    Standard("OpenID Connect Discovery", "OpenID Connect", "metadata", "WebFinger"),
    Standard("RP-Initiated Logout", "OpenID Connect", "yes"),
    Standard("Back-Channel Logout", "OpenID Connect", "yes"),
    Standard(
        "FAPI 2.0 Security Profile", "FAPI", 'where `PROFILE` is `"fapi2"`', "no rotation of refresh tokens"
    ),
)


def named_in_tests() -> str:
    """Return the text of all tests, in which docstrings name what they show."""
    return "\n".join(file.read_text() for file in sorted(TESTS.rglob("test_*.py")))


def render(page: str) -> str:
    """Return *page* with the table as the rows say now."""
    return _BLOCK.sub(lambda found: found[1] + "\n".join(_lines()) + "\n" + found[2], page)


def _lines() -> Iterator[str]:
    yield "| | | kept | not kept |"
    yield "|---|---|---|---|"
    for one in STANDARDS:
        yield f"| {one.name} | {one.title} | {one.kept or '–'} | {one.left_out or '–'} |"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
