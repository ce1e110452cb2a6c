"""What a token must carry for a view: scopes, and an audience of its own.

They work beside :class:`.AccessTokenAuthentication` and beside ``LazyAuthAuthentication``. Without one of their tokens
they say no: 401 where nobody signed in at all, 403 to other ways of signing in.
"""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.resource_indicators import same_resource

from .authentication import AccessTokenAuthentication
from .challenge import InsufficientScope
from .verifier import ResourceServer


class TokenHasScope(BasePermission):
    """``required_scopes = ["tools:read"]`` on the view, all of them; 403 with a challenge that names them.

    In ``a | b`` it should stand last: a token that lacks the scope is answered at once.
    """

    def scopes(self, view: Any) -> list[str]:
        return list(getattr(view, "required_scopes", ()))

    def has_permission(self, request: Request, view: Any) -> bool:
        auth: Any = request.auth
        if not hasattr(auth, "allow_scopes"):
            return False
        required = self.scopes(view)
        if not auth.allow_scopes(required):
            raise InsufficientScope(required, request.path, _server_of(request))
        return True


def RequireScope(*scopes: str) -> type[TokenHasScope]:  # noqa: N802 - it stands where classes stand
    """``permission_classes = [RequireScope("tools:read")]``: the same, with the scopes in place."""

    class TokenHasTheseScopes(TokenHasScope):
        def scopes(self, view: Any) -> list[str]:
            return list(scopes)

    return TokenHasTheseScopes


class TokenHasAudience(BasePermission):
    """``required_audience = "https://api.example/admin"`` on the view: tokens for the rest of the site do not do.

    A token for something else is no token here: 401 ``invalid_token`` (RFC 6750 §3.1).
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
