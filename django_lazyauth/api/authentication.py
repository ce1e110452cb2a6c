"""Authenticate API calls by our access tokens, in the database: a revoked token is refused at once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from django_lazyauth.toolkit.bearer import Bearer, has_bearer, load_bearer
from django_lazyauth.toolkit.metadata import resource_metadata_url


class LazyAuthAuthentication(BaseAuthentication):
    """``request.user`` and ``request.auth`` (:class:`Bearer`) from ``Authorization: Bearer``.

    No header: the next authentication class is asked. A bad token: 401 with a challenge (RFC 6750 §3).
    """

    def authenticate(self, request: Request) -> tuple[Any, Bearer] | None:
        if not has_bearer(request._request):
            return None
        bearer = load_bearer(request._request)
        if bearer is None:
            raise AuthenticationFailed("The access token is unknown, expired or revoked.")
        return bearer.user or AnonymousUser(), bearer

    def authenticate_header(self, request: Request) -> str:
        challenge = 'Bearer realm="api"'
        if has_bearer(request._request):
            challenge += ', error="invalid_token"'
        url = resource_metadata_url()
        return f'{challenge}, resource_metadata="{url}"' if url else challenge
