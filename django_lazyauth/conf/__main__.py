"""``python -m django_lazyauth.conf docs/settings.md`` writes the tables of that page anew."""

import sys
from pathlib import Path

from .reference import render

for name in sys.argv[1:]:
    page = Path(name)
    page.write_text(render(page.read_text()))
