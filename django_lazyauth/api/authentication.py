"""Authenticate API calls by our access tokens. The database is asked, so a revoked token is refused at once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from django_lazyauth.resource_server.authentication import scope_of
from django_lazyauth.resource_server.challenge import challenge
from django_lazyauth.tokens.bearer import has_bearer, load_bearer

from .upstream import UpstreamBearer


class LazyAuthAuthentication(BaseAuthentication):
    """``request.user`` and ``request.auth`` (:class:`UpstreamBearer`) from ``Authorization: Bearer``.

    Without a bearer the next authentication class is asked. A bad token is 401 with a challenge (RFC 6750 §3).
    """

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, UpstreamBearer] | None:
        if not has_bearer(request._request):
            return None
        bearer = load_bearer(request._request)
        if bearer is None:
            raise AuthenticationFailed("The access token is unknown, expired or revoked.")
        return bearer.user or AnonymousUser(), UpstreamBearer.of(bearer)

    def authenticate_header(self, request: Request) -> str:
        error = "invalid_token" if has_bearer(request._request) else ""
        return challenge(request.path, error=error, scope=scope_of(request))
