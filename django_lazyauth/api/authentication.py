"""Authenticate API calls by our access tokens. The database is asked, so a revoked token is refused at once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.resource_server.authentication import challenge_of, give_headers, refusing_proofs
from django_lazyauth.resource_server.proof import credentials_of
from django_lazyauth.tokens.bearer import load_presented

from .upstream import UpstreamBearer


class LazyAuthAuthentication(BaseAuthentication):
    """``request.user`` and ``request.auth`` (:class:`UpstreamBearer`) from ``Authorization: Bearer``, or ``DPoP``.

    Without a token the next authentication class is asked. A bad one is 401 with a challenge (RFC 6750 §3), and so is a
    bound one without the proof of its key (RFC 9449 §7).
    """

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, UpstreamBearer] | None:
        credentials = credentials_of(request._request)
        if credentials is None:
            return None
        with refusing_proofs(request):
            presented = load_presented(request._request, credentials)
        bearer = presented.bearer
        if bearer is None:
            raise AuthenticationFailed("The access token is unknown, expired or revoked.")
        give_headers(request, nonce_headers(presented.proof))
        return bearer.user or AnonymousUser(), UpstreamBearer.of(bearer)

    def authenticate_header(self, request: Request) -> str:
        return challenge_of(request)
