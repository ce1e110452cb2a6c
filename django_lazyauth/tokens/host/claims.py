"""Claims that the host adds to tokens and userinfo: ``TOKEN_CLAIMS`` and ``ID_TOKEN_CLAIMS``.

Each name is a URI (RFC 7519 §4.2). A registered name, or one that a later RFC registers, is none, so what the host adds
can replace nothing that we or a verifier rely on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

#: Octets of all added claims of one token, as JSON. Servers take 8 KiB of a header, and base64 adds a third.
MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class IssuedFor:
    """For whom a token is issued: what the host's functions are given.

    Attributes:
        user: ``None`` for a client that acts for itself.
        resources: The audience (RFC 8707); empty for this site itself.
        session_id: ``None`` where there is no session. It is not known at userinfo.
    """

    user: Any | None
    client_id: str
    scopes: frozenset[str]
    resources: tuple[str, ...] = ()
    session_id: UUID | None = None


def added_claims(setting: str, function: Callable[..., Any] | None, issued_for: IssuedFor) -> dict[str, Any]:
    """Return what *function* adds. It is called for each token anew, at a refresh too.

    What it raises is not caught: no token is issued.

    Raises:
        ImproperlyConfigured: It returned something else than a dict of namespaced claims within the bounds. The message
            holds no value.
    """
    if function is None:
        return {}
    found = function(issued_for)
    if not isinstance(found, Mapping):
        raise ImproperlyConfigured(f'LAZYAUTH["{setting}"] must return a dict of claims.')
    for name in found:
        if not _is_namespaced(name):
            raise ImproperlyConfigured(
                f'LAZYAUTH["{setting}"] returned a claim whose name is no URI such as "https://example.org/role".'
            )
    try:
        size = len(json.dumps(dict(found), allow_nan=False).encode())
    except (TypeError, ValueError):
        raise ImproperlyConfigured(f'LAZYAUTH["{setting}"] returned what JSON cannot hold.') from None
    if size > MAX_BYTES:
        raise ImproperlyConfigured(
            f'LAZYAUTH["{setting}"] returned more than {MAX_BYTES:,} octets of claims.'
        )
    return dict(found)


def _is_namespaced(name: object) -> bool:
    """Say whether *name* is a collision-resistant name: an http(s) URL with a host and a path, or a URN."""
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or len(name) > 255:
        return False
    try:
        parts = urlsplit(name)
    except ValueError:
        return False
    if parts.scheme == "urn":
        return parts.path.count(":") >= 1
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.path not in ("", "/")
