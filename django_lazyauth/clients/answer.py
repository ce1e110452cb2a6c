"""What goes back to the client's redirect URI: always with ``iss`` and the client's ``state`` (RFC 9207)."""

from __future__ import annotations

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import OAuthError

from .redirects import with_parameters


def code_answer(redirect_uri: str, *, code: str, state: str) -> str:
    """Return the URL that brings the client its code (RFC 6749 §4.1.2)."""
    return _answer(redirect_uri, {"code": code}, state)


def error_answer(redirect_uri: str, *, error: str, description: str = "", state: str = "") -> str:
    """Return the URL that tells the client why there is no code (RFC 6749 §4.1.2.1)."""
    parameters = {"error": error}
    if description:
        parameters["error_description"] = description
    return _answer(redirect_uri, parameters, state)


def refusal(redirect_uri: str, error: OAuthError, *, state: str) -> str:
    """The same for an error of ours."""
    return error_answer(redirect_uri, error=error.error, description=error.description, state=state)


def _answer(redirect_uri: str, parameters: dict[str, str], state: str) -> str:
    if state:
        parameters["state"] = state
    return with_parameters(redirect_uri, parameters | {"iss": lazyauth_settings.issuer})
