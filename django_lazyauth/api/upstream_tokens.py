"""``GET /upstream-tokens/{provider}``: an upstream token for another process. Off unless the settings name clients."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.resource_server.challenge import InsufficientScope
from django_lazyauth.resource_server.proof import uses_dpop
from django_lazyauth.upstream.fresh_token import UpstreamCredential, expires_in

from .authentication import LazyAuthAuthentication
from .base import OwnView, described
from .serializers import RefusedVersionSerializer, UpstreamTokenSerializer
from .upstream import UpstreamBearer


class UpstreamTokenView(OwnView):
    """Return a fresh token to a client that the operator named and the person allowed (``upstream:{provider}``).

    ``?refused_version=3`` tells that the upstream answered 401 to version 3. That version is renewed, once.
    """

    authentication_classes = [LazyAuthAuthentication]

    @property
    def required_scopes(self) -> list[str]:
        """The scope of the provider that the URL names, for challenges."""
        return [f"upstream:{self.kwargs['provider']}"] if self.kwargs else []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if not lazyauth_settings.upstream_token_clients:
            raise Http404
        super().initial(request, *args, **kwargs)

    @described(
        operation_id="upstream_token",
        summary="Fetch a fresh token of an upstream for the person behind the access token",
        parameters=[RefusedVersionSerializer],
        responses={200: UpstreamTokenSerializer},
    )
    def get(self, request: Request, provider: str) -> Response:
        auth = request.auth
        if not isinstance(auth, UpstreamBearer):
            raise NotAuthenticated
        if provider not in lazyauth_settings.upstream_token_clients.get(auth.client.client_id, ()):
            raise PermissionDenied({"error": "access_denied"})
        if not auth.allow_scopes(self.required_scopes):
            raise InsufficientScope(self.required_scopes, request.path, is_dpop=uses_dpop(request._request))
        refused = _version(request.query_params.get("refused_version", ""))
        return Response(_body(auth.upstream(provider, force=refused is not None, seen_version=refused)))


def _version(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _body(credential: UpstreamCredential) -> dict[str, Any]:
    body = {
        "access_token": credential.access_token,
        "token_type": credential.token_type,
        "scope": credential.scope,
        "version": credential.version,
    }
    left = expires_in(credential)
    return body if left is None else {**body, "expires_in": left}
