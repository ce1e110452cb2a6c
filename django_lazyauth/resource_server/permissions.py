"""Permissions of a view that a token must have: scopes, or an audience.

They work with :class:`.AccessTokenAuthentication` and with ``LazyAuthAuthentication``. A request without such a token
is refused: 401 if it is not authenticated, 403 if it is authenticated in another way.
"""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.resource_indicators import same_resource

from .authentication import AccessTokenAuthentication
from .challenge import InsufficientScope, scopes_of
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
            raise InsufficientScope(list(needed), request.path, _server_of(request))
        return True


def RequireScope(*scopes: str) -> type[TokenHasScope]:  # noqa: N802 - it stands where classes stand
    """``permission_classes = [RequireScope("tools:read")]``: the same, with the scopes given here."""

    class TokenHasTheseScopes(TokenHasScope):
        def scopes(self, view: Any) -> list[str]:
            return list(scopes)

    return TokenHasTheseScopes


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
