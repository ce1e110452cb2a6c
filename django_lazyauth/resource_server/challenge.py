"""Refusals, and the challenge that tells a client how to get an accepted token (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from django.urls import NoReverseMatch, reverse
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.permissions import OR

from django_lazyauth.conf import OF_THE_SIGN_IN, allowed_algorithms
from django_lazyauth.openid.dpop.proof import ALGORITHMS

from .described import requires_dpop
from .local import this_issuer
from .verifier import ResourceServer


def challenge(
    path: str,
    *,
    server: ResourceServer | None = None,
    error: str = "",
    scope: str = "",
    more: Mapping[str, str] | None = None,
    is_dpop: bool = False,
) -> str:
    """Return the value of ``WWW-Authenticate``.

    Args:
        path: Path of the request. A client must not use metadata of a resource that the request does not lie
            below (RFC 9728 §3.3).
        server: Its tokens would be accepted. ``None``: the tokens of the issuer on this site.
        error, scope: RFC 6750 §3. A request without a token gets no error. Scopes of the sign-in are left out: no
            resource needs them, and a client that asked for them would be given less at the next challenge.
        more: Further members, such as those of RFC 9470 §3. They hold neither quotes nor backslashes.
        is_dpop: The request presented a token with the scheme of bound ones.
    """
    is_dpop = is_dpop or requires_dpop(path)
    members = {
        "error": error,
        **(more or {}),
        "scope": " ".join(one for one in scope.split() if one not in OF_THE_SIGN_IN),
        "resource_metadata": resource_metadata_url(path, server) or "",
        "algs": " ".join(allowed_algorithms(ALGORITHMS)) if is_dpop else "",
    }
    parts = ['realm="api"', *(f'{name}="{value}"' for name, value in members.items() if value)]
    # One scheme: clients read the first one, or the first member of a name.
    return f"{'DPoP' if is_dpop else 'Bearer'} {', '.join(parts)}"


def resource_metadata_url(path: str, server: ResourceServer | None = None) -> str | None:
    """Return the URL of the metadata of the resource at *path*, if it is mounted here (RFC 9728 §3.1)."""
    resource = None if server is None else _closest(server, path)
    local = this_issuer() if server is None else server.local
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
    """Return the configured audience with the longest path that contains *path*; else the first one."""
    return next(iter(audiences_above(server, path)), None)


def audiences_above(server: ResourceServer, path: str) -> list[SplitResult]:
    """Return the configured audiences that contain *path*, those with the longest path first; else the first of all."""
    resources = [parts for one in server.settings.audience if (parts := urlsplit(one)).netloc]
    above = [parts for parts in resources if f"{path}/".startswith(f"{parts.path.rstrip('/')}/")]
    return sorted(above, key=lambda parts: -len(parts.path)) or resources[:1]


def scopes_of(view: Any) -> list[str]:
    """Return the scopes that a token needs for *view*, each once: of its ``required_scopes``, and of its permissions.

    A permission says so by a method ``scopes(view)``. All of ``a & b`` count; of ``a | b`` the first that has any.
    """
    required = getattr(view, "required_scopes", None)
    named = list(required) if isinstance(required, (list, tuple)) else []
    try:
        permissions = view.get_permissions() if hasattr(view, "get_permissions") else ()
        for permission in permissions:
            named += _scopes_of_permission(permission, view)
    except _UNREADABLE:
        # What the view needs depends on a body that cannot be read. The request is refused all the same.
        pass
    return list(dict.fromkeys(named))


#: What a view may raise that looks at a request to say what it needs.
_UNREADABLE = (APIException, Http404, OSError, SuspiciousOperation)


def _scopes_of_permission(permission: Any, view: Any) -> list[str]:
    if hasattr(permission, "scopes"):
        return list(permission.scopes(view))
    # Operators of DRF hold their operands by these names. A token cannot help where a permission must fail (NOT).
    operands = [getattr(permission, name, None) for name in ("op1", "op2")]
    if None in operands:
        return []
    of_each = [_scopes_of_permission(operand, view) for operand in operands]
    return next(filter(None, of_each), []) if isinstance(permission, OR) else [*of_each[0], *of_each[1]]


WELL_KNOWN = "/.well-known/oauth-protected-resource"


class InsufficientScope(PermissionDenied):
    """403: the token is valid and lacks a scope. The challenge names the scope (RFC 6750 §3.1)."""

    def __init__(
        self,
        scopes: Sequence[str],
        path: str,
        server: ResourceServer | None = None,
        *,
        is_dpop: bool = False,
    ) -> None:
        scope = " ".join(scopes)
        super().__init__({"error": "insufficient_scope", "scope": scope})
        #: DRF sends it as ``WWW-Authenticate``.
        self.auth_header = challenge(
            path, server=server, error="insufficient_scope", scope=scope, is_dpop=is_dpop
        )


class InsufficientAuthentication(APIException):
    """401: the token is valid, and its person signed in too weakly or too long ago (RFC 9470 §3).

    Args:
        acr: Any of these context classes will do; empty where each does.
        max_age: Most seconds since the person signed in; ``None`` for any time.
        scopes: What the operation needs beside it, so that the client asks the person once.
    """

    status_code = HTTPStatus.UNAUTHORIZED
    error = "insufficient_user_authentication"

    def __init__(
        self,
        *,
        acr: Sequence[str],
        max_age: int | None,
        scopes: Sequence[str],
        path: str,
        server: ResourceServer | None = None,
        is_dpop: bool = False,
    ) -> None:
        wanted = {"acr_values": " ".join(acr), "max_age": "" if max_age is None else str(max_age)}
        super().__init__({"error": self.error, **{name: value for name, value in wanted.items() if value}})
        described = {"error_description": "The person has to sign in again, as the members say.", **wanted}
        #: DRF sends it as ``WWW-Authenticate``.
        self.auth_header = challenge(
            path,
            server=server,
            error=self.error,
            scope=" ".join(scopes),
            more=described,
            is_dpop=is_dpop,
        )


class ProofRefused(APIException):
    """401: the proof of a bound token is missing, does not hold, or needs a nonce (RFC 9449 §7.1, §9)."""

    status_code = HTTPStatus.UNAUTHORIZED

    def __init__(self, error: str, header: str) -> None:
        super().__init__({"error": error})
        #: DRF sends it as ``WWW-Authenticate``.
        self.auth_header = header


class IssuerUnavailable(APIException):
    """503 with ``Retry-After``: without the issuer's keys, or the database, the token cannot be checked."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The token cannot be checked at the moment."
    default_code = "temporarily_unavailable"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.wait = retry_after
