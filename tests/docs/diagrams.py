"""Draw the Mermaid diagrams of ``docs/`` with Mermaid itself, in Chromium: ``python -m tests.docs.diagrams FOLDER``.

Each becomes ``<SHA-256 of its text>.svg``, which ``docs/conf.py`` puts into the page. A diagram that does not parse, or
a missing Chromium, is an error.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tests.browser.chromium import running
from tests.docs.test_diagrams import diagrams
from tests.stock_clients.node import FOLDER, installed

DRAW = """
async ([text, name]) => {
  mermaid.initialize({
    startOnLoad: false,
    theme: "base",
    fontFamily: "Arial, Helvetica, sans-serif",
    securityLevel: "strict",
    deterministicIds: true,
    sequence: {noteFontFamily: "inherit", messageFontFamily: "inherit", actorFontFamily: "inherit", width: 180},
  });
  const {svg} = await mermaid.render("d" + name.slice(0, 12), text);
  return svg;
}
"""


def draw(texts: list[str], folder: Path) -> None:
    """Write one file for each of *texts*. What stands there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {folder / f"{digest(text)}.svg": text for text in texts}
    missing = {file: text for file, text in missing.items() if not file.exists()}
    if not missing:
        return
    installed()
    with running() as browser:
        page = browser.new_page()
        page.set_content("<!doctype html><body></body>")
        page.add_script_tag(path=str(FOLDER / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"))
        for file, text in missing.items():
            file.write_text(page.evaluate(DRAW, [text, file.stem]))


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()


if __name__ == "__main__":
    draw(
        [text for page, text in diagrams() if page not in ("README.md", "CONTRIBUTING.md")], Path(sys.argv[1])
    )
