"""Further parameters of an authorization response that an entry keeps (``answer_params``).

Nothing signs them, and they are in the hands of the browser. One that cannot be used is as if it was not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django_lazyauth.openid.jose import TokenRejected, check_clean

#: Characters of one parameter.
LIMIT: Final = 2048


def read_kept(parameters: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that *kinds* names, each as ``json`` or ``text``."""
    found = {}
    for name, kind in kinds.items():
        text = parameters.get(name, "")
        if not 0 < len(text) <= LIMIT:
            continue
        try:
            value = json.loads(text) if kind == "json" else text
            check_clean(value)
        except (ValueError, RecursionError, TokenRejected):
            continue
        found[name] = value
    return found
