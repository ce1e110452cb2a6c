"""Refusals, and the challenge that tells a client how to get a token that would do (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from django.urls import NoReverseMatch, reverse
from rest_framework.exceptions import APIException, PermissionDenied

from .verifier import ResourceServer


def challenge(server: ResourceServer, path: str, *, error: str = "", scope: str = "") -> str:
    """Return the value of ``WWW-Authenticate``; without a token in the request there is no error to name.

    Args:
        server: Whose tokens would do.
        path: Of the request. Metadata of anything that it does not lie below, a client must not use (RFC 9728
            §3.3).
        error, scope: RFC 6750 §3.
    """
    members = {"error": error, "scope": scope, "resource_metadata": resource_metadata_url(server, path) or ""}
    parts = ['realm="api"', *(f'{name}="{value}"' for name, value in members.items() if value)]
    return f"Bearer {', '.join(parts)}"


def resource_metadata_url(server: ResourceServer, path: str) -> str | None:
    """Return where the metadata of the resource at *path* stands, if it is mounted here (RFC 9728 §3.1)."""
    resource = _closest(server, path)
    local = server.local
    if local is not None:
        return local.resource_metadata_url(path if resource is None else resource.path)
    try:
        reverse("lazyauth_resource_server:metadata")
    except NoReverseMatch:
        return None
    if resource is None:
        return None
    return f"{resource.scheme}://{resource.netloc}{WELL_KNOWN}{resource.path.rstrip('/')}"


def _closest(server: ResourceServer, path: str) -> SplitResult | None:
    """Return the configured audience that *path* lies below, as closely as there is one; else the first."""
    resources = [parts for one in server.settings.audience if (parts := urlsplit(one)).netloc]
    above = [parts for parts in resources if f"{path}/".startswith(f"{parts.path.rstrip('/')}/")]
    return max(above or resources[:1], key=lambda parts: len(parts.path), default=None)


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
