"""The Mermaid diagrams of README and docs/ parse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stock_clients.node import installed

ROOT = Path(__file__).resolve().parents[2]
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```", re.MULTILINE | re.DOTALL)


def diagrams() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [(page.name, text) for page in pages for text in DIAGRAM.findall(page.read_text())]


@pytest.mark.services
@pytest.mark.timeout(600)
def test_every_diagram_parses():
    """With Mermaid's own parser. A semicolon in a message ends the statement, for example."""
    found = diagrams()
    assert found
    broken = "sequenceDiagram\n  A->>B: one; no two"
    node = installed()
    answer = node.run("diagrams.mjs", [text for _, text in found] + [broken], answer=lambda said: {})
    *wrong, expected = answer["wrong"]
    assert expected, "the parser accepts everything"
    assert [(page, error) for (page, _), error in zip(found, wrong, strict=True) if error] == []
