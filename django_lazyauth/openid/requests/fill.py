"""Fill ``{client_id}``-style placeholders of endpoints, headers and parameters.

Not here: which key may hold which placeholder (:mod:`.keys`). The system check refuses the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

NAMES: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.:]*)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return *template* with the placeholders that *values* has. Others stay as they are."""
    return NAMES.sub(lambda found: values.get(found[1], found[0]), template)


def fill_each(templates: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {name: fill(template, values) for name, template in templates.items()}


def fill_url(template: str, values: Mapping[str, str]) -> str:
    """Return an endpoint with its placeholders filled. No value can end a segment or begin a parameter."""
    return fill(template, {name: quote(value, safe="") for name, value in values.items()})
