"""ID-JAGs that the running provider signs, and requests that bring them (RFC 7523 §2.1)."""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.conftest import CONFIDENTIAL_SECRET
from tests.support.delegation import confidential
from tests.support.journey import ISSUER, make_browser, post_form

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TYPE = "oauth-id-jag+jwt"
API = "https://auth.example/mcp"
POLICY = {"clients": ["agent"], "scopes": ["notes:read", "notes:write"], "resources": [API]}


def trust(upstream: Any, lazyauth: Any, **policy: Any) -> None:
    """Let the provider ``acme`` speak for its people, to a client ``agent``."""
    confidential("agent")
    lazyauth(
        PROVIDERS={"acme": upstream.config(id_jag=POLICY | policy)},
        SCOPES={"notes:read": "Read your notes", "notes:write": "Write your notes"},
    )


def assertion(
    upstream: Any, *, header: dict[str, Any] | None = None, sub: str = "person-1", **claims: Any
) -> str:
    """Return an ID-JAG that the provider signs now; a claim or parameter that is ``None`` is not in it."""
    now = int(time.time())
    made = {
        "aud": ISSUER,
        "client_id": "agent",
        "jti": secrets.token_urlsafe(12),
        "iat": now,
        "exp": now + 300,
        "resource": API,
        "scope": "notes:read notes:write",
        "email": f"{sub}@acme.example",
        "azp": None,
        **claims,
    }
    upstream.control(claims=made, header={"typ": TYPE, **(header or {})})
    try:
        return str(upstream.id_token(sub=sub, nonce=None))
    finally:
        upstream.control(claims={}, header={})


def bring(text: str, *, headers: dict[str, str] | None = None, browser: Any = None, **form: Any) -> Any:
    """Ask for a token with an ID-JAG. A parameter that is ``None`` is left out."""
    sent = {
        "grant_type": GRANT,
        "assertion": text,
        "client_id": "agent",
        "client_secret": CONFIDENTIAL_SECRET,
        **form,
    }
    sent = {name: value for name, value in sent.items() if value is not None}
    return post_form(browser or make_browser(), "/token", sent, headers=headers or {})


def brought(text: str, **form: Any) -> dict[str, Any]:
    """Return the answer to a request that is right."""
    answer = bring(text, **form)
    assert answer.status_code == 200, answer.content
    return answer.json()
