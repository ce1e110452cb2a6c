"""A tool server that acts for people: the client, what the operator lets it have, and its requests (RFC 8693)."""

from __future__ import annotations

from typing import Any

from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.journey import make_browser, post_form

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
#: The resource that the tool server is, and those that it calls.
TOOL, API, OTHER_API = "https://tool.example", "https://api.example", "https://other.example"
POLICY = {"audiences": [API], "scopes": ["profile", "email"]}


def confidential(client_id: str) -> None:
    register(
        client_id=client_id,
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )


def exchange(
    token: str,
    *,
    client_id: str = "tool",
    headers: dict[str, str] | None = None,
    browser: Any = None,
    **form: Any,
) -> Any:
    """Ask for what *token* is worth. A parameter that is ``None`` is left out."""
    sent = {
        "grant_type": GRANT,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "client_id": client_id,
        "client_secret": CONFIDENTIAL_SECRET,
        **form,
    }
    sent = {name: value for name, value in sent.items() if value is not None}
    return post_form(browser or make_browser(), "/token", sent, headers=headers or {})


def exchanged(token: str, **form: Any) -> dict[str, Any]:
    """Return the answer to a request that is right."""
    answer = exchange(token, **form)
    assert answer.status_code == 200, answer.content
    return answer.json()
