"""Sign in a pending authorization with an ID token that a native app or a one-tap button holds."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.authorize.pending import Browser, find_pending
from django_lazyauth.errors import AccessDenied, IdentityRejected, InvalidGrant, ProviderUnavailable
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.results import Pending
from django_lazyauth.sign_in import native_token
from django_lazyauth.web import binding
from django_lazyauth.web.flow import next_step

from .base import JSONView, described, pending_response, refusal
from .serializers import (
    AuthenticatedSerializer,
    IdTokenSerializer,
    NonceSerializer,
    RejectedSerializer,
    StateSerializer,
)

#: Purpose of the nonce: a form token of a form that has no page.
PURPOSE = "id-token"


class IdTokenView(JSONView):
    """The browser, or the web view of an app, that began the flow proves it by its binding cookie (I7).

    Only JSON is read and the cookie is SameSite=Lax, so no other site can post here in its name.
    """

    @described(
        summary="Nonce for an ID token",
        responses={200: NonceSerializer, 404: RejectedSerializer},
        auth=[],
        tags=["authorizations"],
    )
    def get(self, request: Request, session_id: UUID) -> Response:
        """Return the nonce that binds an ID token to this flow and this browser (I9)."""
        try:
            _, secret = self._own(request, session_id)
        except InvalidGrant:
            return refusal("invalid_grant", status.HTTP_404_NOT_FOUND)
        return Response({"nonce": binding.form_token(secret, PURPOSE)})

    @described(
        summary="Sign in with an ID token",
        request=IdTokenSerializer,
        responses={
            200: AuthenticatedSerializer,
            202: StateSerializer,
            400: RejectedSerializer,
            403: RejectedSerializer,
            404: RejectedSerializer,
            503: RejectedSerializer,
        },
        auth=[],
        tags=["authorizations"],
    )
    @sensitive_variables()
    def post(self, request: Request, session_id: UUID) -> Response:
        """Sign the person in. After a 202 the same request may come again."""
        given = IdTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            pending, secret = self._own(request, session_id)
            signed_in = native_token.sign_in_with(
                request._request,
                pending,
                given.validated_data["id_token"],
                discovery_domain=given.validated_data.get("discovery_domain", ""),
                nonce=binding.form_token(secret, PURPOSE),
            )
            if isinstance(signed_in, Pending):
                return pending_response(signed_in)
            page = next_step(request._request, signed_in)
        except InvalidGrant:
            return refusal("invalid_grant", status.HTTP_404_NOT_FOUND)
        except IdentityRejected as error:
            return refusal(error.reason)
        except AccessDenied:
            return refusal("access_denied", status.HTTP_403_FORBIDDEN)
        except ProviderUnavailable as error:
            return refusal(error.reason, status.HTTP_503_SERVICE_UNAVAILABLE, Retry_After="60")
        # Where the next leg of a chain cannot begin there is a page, and the flow's own address shows it.
        location = page.headers.get("Location") or reverse("lazyauth:flow", args=[session_id])
        response = Response({"state": "authenticated", "location": location})
        response.cookies.update(page.cookies)
        return response

    def _own(self, request: Request, session_id: UUID) -> tuple[PendingAuthorization, str]:
        secret = binding.secret_of(request._request, session_id)
        if not secret:
            raise InvalidGrant
        return find_pending(session_id, browser=Browser(digest(secret))), secret
