"""Refusals, and the challenge that tells a client how to get a token that would do (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from django.urls import NoReverseMatch, reverse
from rest_framework.exceptions import APIException, PermissionDenied

from .verifier import ResourceServer


def challenge(server: ResourceServer, path: str, *, error: str = "", scope: str = "") -> str:
    """Return the value of ``WWW-Authenticate``; without a token in the request there is no error to name.

    Args:
        server: Who asks for a token.
        path: Of the request. Where the audience depends on it, so does the metadata: of anything but the URL that
            it went to, a client must not use them (RFC 9728 §3.3).
    """
    members = {"error": error, "scope": scope, "resource_metadata": resource_metadata_url(server, path) or ""}
    parts = ['realm="api"', *(f'{name}="{value}"' for name, value in members.items() if value)]
    return f"Bearer {', '.join(parts)}"


def resource_metadata_url(server: ResourceServer, path: str) -> str | None:
    """Return where the metadata of this resource stands, if it is mounted here (RFC 9728 §3.1)."""
    local = server.local
    if local is not None:
        configured = server.settings.audience
        return local.resource_metadata_url(urlsplit(configured[0]).path if configured else path)
    try:
        reverse("lazyauth_resource_server:metadata")
    except NoReverseMatch:
        return None
    for audience in server.settings.audience:
        parts = urlsplit(audience)
        if parts.scheme in ("https", "http") and parts.netloc:
            return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"
    return None


WELL_KNOWN = "/.well-known/oauth-protected-resource"


class InsufficientScope(PermissionDenied):
    """403: the token is good and does not carry the scope; the challenge names it (RFC 6750 §3.1)."""

    def __init__(self, scopes: Sequence[str], server: ResourceServer, path: str) -> None:
        scope = " ".join(scopes)
        super().__init__({"error": "insufficient_scope", "scope": scope})
        #: What DRF puts into ``WWW-Authenticate``.
        self.auth_header = challenge(server, path, error="insufficient_scope", scope=scope)


class IssuerUnavailable(APIException):
    """503 with ``Retry-After``: the issuer's keys cannot be had, so nobody can say whether the token is good."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The token cannot be checked at the moment."
    default_code = "temporarily_unavailable"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.wait = retry_after
