"""Permissions of a view that a token must have: scopes, an audience, or how and when its person signed in.

They work with :class:`.AccessTokenAuthentication` and with ``LazyAuthAuthentication``. A request without such a token
is refused: 401 if it is not authenticated, 403 if it is authenticated in another way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from django_lazyauth.conf.nested import ACR_PATTERN
from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.resource_indicators import same_resource

from .authentication import AccessTokenAuthentication
from .challenge import InsufficientAuthentication, InsufficientScope, scopes_of
from .proof import uses_dpop
from .verifier import ResourceServer


class TokenHasScope(BasePermission):
    """Require all of the view's ``required_scopes = ["tools:read"]``; else 403 with a challenge that names them.

    In ``a | b`` it must be last, because it answers a token that lacks a scope at once.
    """

    def scopes(self, view: Any) -> list[str]:
        return list(getattr(view, "required_scopes", ()))

    def has_permission(self, request: Request, view: Any) -> bool:
        auth: Any = request.auth
        if not hasattr(auth, "allow_scopes"):
            return False
        required = self.scopes(view)
        if not auth.allow_scopes(required):
            # All that the view needs, also of other permissions: the client asks the person once.
            needed = dict.fromkeys([*scopes_of(view), *required])
            raise InsufficientScope(
                list(needed), request.path, _server_of(request), is_dpop=uses_dpop(request._request)
            )
        return True


def RequireScope(*scopes: str) -> type[TokenHasScope]:  # noqa: N802 - it stands where classes stand
    """``permission_classes = [RequireScope("tools:read")]``: the same, with the scopes given here."""

    class TokenHasTheseScopes(TokenHasScope):
        def scopes(self, view: Any) -> list[str]:
            return list(scopes)

    return TokenHasTheseScopes


#: Seconds by which the clock of the issuer may differ from ours.
LEEWAY = timedelta(seconds=60)


def RequireAuthentication(  # noqa: N802 - it stands where classes stand
    *, acr: Sequence[str] = (), max_age: int | None = None
) -> type[BasePermission]:
    """``permission_classes = [RequireAuthentication(acr=["urn:example:mfa"], max_age=300)]`` (RFC 9470).

    A token whose person signed in otherwise, or longer ago, gets 401 ``insufficient_user_authentication`` with what is
    needed, and so does one that does not say. Nothing is queried for a JWT, and one query is made for the tokens that
    ``LazyAuthAuthentication`` takes.

    In ``a | b`` it must be last, because it answers at once.

    Args:
        acr: Authentication context classes, any of which will do. None: any way to sign in.
        max_age: Seconds since the person signed in, at most. 60 s of leeway are added.

    Raises:
        ValueError: A class cannot stand in a challenge, or nothing is required.
    """
    wanted = (acr,) if isinstance(acr, str) else tuple(acr)
    _check_requirement(wanted, max_age)

    class PersonAuthenticatedThus(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            auth: Any = request.auth
            if not hasattr(auth, "allow_scopes") or not hasattr(auth, "auth_time"):
                return False
            if not _is_strong(auth, wanted) or not _is_recent(auth, max_age):
                raise InsufficientAuthentication(
                    acr=wanted,
                    max_age=max_age,
                    scopes=scopes_of(view),
                    path=request.path,
                    server=_server_of(request),
                    is_dpop=uses_dpop(request._request),
                )
            return True

    return PersonAuthenticatedThus


def _check_requirement(wanted: Sequence[str], max_age: int | None) -> None:
    if not wanted and max_age is None:
        raise ValueError("Name acr, max_age or both.")
    if max_age is not None and max_age < 0:
        raise ValueError("max_age must be zero or more.")
    if any(not re.fullmatch(ACR_PATTERN, one) for one in wanted):
        raise ValueError("A class has no blank, quote or backslash.")


def _is_strong(auth: Any, wanted: Sequence[str]) -> bool:
    return not wanted or auth.acr in wanted


def _is_recent(auth: Any, max_age: int | None) -> bool:
    if max_age is None:
        return True
    since = auth.auth_time
    return since is not None and timezone.now() - since <= timedelta(seconds=max_age) + LEEWAY


class TokenHasAudience(BasePermission):
    """Require the view's ``required_audience = "https://api.example/admin"``.

    A token for another audience of this site gets 401 ``invalid_token`` (RFC 6750 §3.1).
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        auth: object = request.auth
        if not isinstance(auth, AccessToken):
            return False
        if not any(same_resource(audience, view.required_audience) for audience in auth.audience):
            raise AuthenticationFailed("The access token is meant for something else.")
        return True


def _server_of(request: Request) -> ResourceServer:
    authenticator = request.successful_authenticator
    if isinstance(authenticator, AccessTokenAuthentication):
        return authenticator.server()
    return ResourceServer.from_settings()
