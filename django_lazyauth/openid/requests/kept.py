"""What an entry keeps: of an authorization response (``answer_params``), and for later refreshes (``keep``).

Nothing signs an authorization response, and it is in the hands of the browser. A value that cannot be used is as if it
was not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.openid.jose import TokenRejected, check_clean
from django_lazyauth.openid.rules import Documents, as_text, find, parse_path

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


# --- With a refresh token -----------------------------------------------------------------------------------

#: Begins a refresh token that has something beside it. No provider gives one like it.
_MARK: Final = '{"keep": '


def read_keep(keep: Iterable[str], documents: Documents) -> dict[str, str]:
    """Return the values of *keep*, such as ``token:openid``, that the next refreshes need."""
    found = {
        name: next((as_text(one.value) for one in find(parse_path(name), documents)), "") for name in keep
    }
    return {name: value for name, value in found.items() if 0 < len(value) <= LIMIT}


@sensitive_variables()
def with_kept(refresh_token: str, kept: Mapping[str, str]) -> str:
    """Return *refresh_token* with what its requests need, as one text: one goes nowhere without the other."""
    if not refresh_token or not kept:
        return refresh_token
    return json.dumps({"keep": dict(kept), "refresh_token": refresh_token})


@sensitive_variables()
def split_kept(text: str) -> tuple[str, dict[str, str]]:
    """Return the refresh token, and what :func:`with_kept` put beside it."""
    if not text.startswith(_MARK):
        return text, {}
    try:
        whole = json.loads(text)
        return str(whole["refresh_token"]), {str(name): str(value) for name, value in whole["keep"].items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return text, {}
