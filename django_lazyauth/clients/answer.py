"""The authorization response: the client's redirect URI with ``iss`` and the client's ``state`` (RFC 9207)."""

from __future__ import annotations

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import OAuthError

from .redirects import with_parameters


def code_answer(redirect_uri: str, *, code: str, state: str) -> str:
    """Return the URL that carries the code (RFC 6749 §4.1.2)."""
    return _answer(redirect_uri, {"code": code}, state)


def error_answer(redirect_uri: str, *, error: str, description: str = "", state: str = "") -> str:
    """Return the URL that carries an error (RFC 6749 §4.1.2.1)."""
    parameters = {"error": error}
    if description:
        parameters["error_description"] = description
    return _answer(redirect_uri, parameters, state)


def refusal(redirect_uri: str, error: OAuthError, *, state: str) -> str:
    """Return the URL that carries *error* (RFC 6749 §4.1.2.1)."""
    return error_answer(redirect_uri, error=error.error, description=error.description, state=state)


def _answer(redirect_uri: str, parameters: dict[str, str], state: str) -> str:
    if state:
        parameters["state"] = state
    return with_parameters(redirect_uri, parameters | {"iss": lazyauth_settings.issuer})
