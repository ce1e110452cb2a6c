"""What a client pushes, and where it sends a person then."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.support.client_keys import ClientKey
from tests.support.journey import ISSUER, OAuthClient, make_browser, post_form

PREFIX = "urn:ietf:params:oauth:request_uri:"


def parameters(client: OAuthClient, **changes: Any) -> dict[str, Any]:
    """Return the parameters of a good request."""
    return dict(parse_qsl(client.authorize_query(**changes)))


def push(
    client: OAuthClient, form: dict[str, Any] | None = None, *, browser: Any = None, **changes: Any
) -> Any:
    """Push a request; *form* is sent beside it: credentials, as a rule."""
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    sent = parameters(client) | secret | (form or {}) | changes
    given = {name: value for name, value in sent.items() if value is not None}
    return post_form(browser or make_browser(), "/par", given)


def pushed(client: OAuthClient, form: dict[str, Any] | None = None, **changes: Any) -> str:
    """Push a request and return its URN."""
    answer = push(client, form, **changes)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["request_uri"])


def link(client_id: str, request_uri: str, **more: Any) -> str:
    """Return where the client sends a person."""
    return f"/authorize?{urlencode({'client_id': client_id, 'request_uri': request_uri, **more}, doseq=True)}"


def signed(
    client: OAuthClient, key: ClientKey, /, *, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """Return a request object of *client* (RFC 9101). A change to ``...`` removes a claim."""
    claims = parameters(client) | {"iss": client.client_id, "aud": ISSUER, "sub": ...}
    return key.assertion(
        client.client_id, header={"typ": "oauth-authz-req+jwt"} | (header or {}), **(claims | changes)
    )


def signed_link(client: OAuthClient, request: str, **more: Any) -> str:
    return f"/authorize?{urlencode({'client_id': client.client_id, 'request': request, **more}, doseq=True)}"
