"""The documentation site: ``make docs``. Nothing is fetched: what a page needs is here, or was drawn before."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

project = "django-lazyauth"
author = "django-lazyauth maintainers"
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx reads

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
# Records of decisions are linked from their list, and are in no menu.
# A body of JSON over several lines is a console that Pygments does not know.
suppress_warnings = ["toc.not_included", "misc.highlighting_failure"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}

#: Where ``python -m tests.docs.diagrams`` puts each diagram, by the digest of its text.
DIAGRAMS = Path(os.environ.get("DIAGRAMS", Path(__file__).resolve().parent.parent / "build" / "diagrams"))


class Mermaid(Directive):
    """A diagram as a picture, so that it is seen with scripts off."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content).strip()
        file = DIAGRAMS / f"{hashlib.sha256(text.encode()).hexdigest()}.svg"
        if not file.exists():
            raise self.error("This diagram was not rendered.")
        return [nodes.raw("", f'<figure class="diagram">{file.read_text()}</figure>', format="html")]


def leave_as_text(app: Any, name: str, source: list[str]) -> None:
    """Show a link to the source as its text: the site has no source. ``tests/docs`` checks where it leads."""
    source[0] = re.sub(r"\[([^\]]+)\]\((?:\.\./)+tests/[^)]*\)", r"\1", source[0])


def setup(app: Any) -> None:
    app.add_directive("mermaid", Mermaid)
    app.connect("source-read", leave_as_text)
