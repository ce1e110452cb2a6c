"""Fill ``{client_id}``-style placeholders of endpoints, headers and parameters.

``{token:path}`` and ``{answer:path}`` are filled with what stands there in the documents of one sign-in.

Not here: which key may hold which placeholder (:mod:`.keys`). The system check refuses the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from django_lazyauth.openid.rules import Documents, as_text, find, parse_path

NAMES: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.:]*)\}")


def fill(
    template: str, values: Mapping[str, str], documents: Documents | None = None, *, is_url: bool = False
) -> str:
    """Return *template* with its placeholders filled. One that neither *values* nor *documents* know stays.

    What *documents* do not hold becomes empty. With *is_url* no value can end a segment or begin a parameter.
    """

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name in values:
            value = values[name]
        elif ":" in name and documents is not None:
            value = next((as_text(one.value) for one in find(parse_path(name), documents)), "")
        else:
            return found[0]
        # A segment of dots would climb the path.
        return ("" if not value.strip(".") else quote(value, safe="")) if is_url else value

    return NAMES.sub(value_of, template)


def fill_each(
    templates: Mapping[str, str], values: Mapping[str, str], documents: Documents | None = None
) -> dict[str, str]:
    """Return parameters with their placeholders filled, without those that are empty then."""
    filled = {name: fill(template, values, documents) for name, template in templates.items()}
    return {name: value for name, value in filled.items() if value}


def fill_url(template: str, values: Mapping[str, str], documents: Documents | None = None) -> str:
    """Return an endpoint with its placeholders filled. No value can end a segment or begin a parameter."""
    return fill(template, values, documents, is_url=True)
