"""Sign in a pending authorization with an ID token that a native app or a one-tap button holds."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.kit.results import Pending
from django_lazyauth.sign_in import native_token
from django_lazyauth.web import binding
from django_lazyauth.web.flow import next_step, own_pending

from .base import IdTokenParser, JSONView, described, pending_response
from .serializers import (
    AuthenticatedSerializer,
    IdTokenSerializer,
    NonceSerializer,
    RejectedSerializer,
    StateSerializer,
)

#: Purpose of the nonce. It is made like the token of a form that stands on no page.
PURPOSE = "id-token"


class IdTokenView(JSONView):
    """The binding cookie proves the browser, or the web view of an app, that began the flow (I7).

    Only JSON is read and the cookie is SameSite=Lax, so no other site can post here in its name.
    """

    is_shared = False
    parser_classes = (IdTokenParser,)

    @described(
        summary="Nonce for an ID token",
        responses={200: NonceSerializer, 404: RejectedSerializer},
        auth=[],
        tags=["authorizations"],
    )
    def get(self, request: Request, session_id: UUID) -> Response:
        """Return the nonce that binds an ID token to this flow and this browser (I9)."""
        _pending, secret = own_pending(request._request, session_id)
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
        pending, secret = own_pending(request._request, session_id)
        signed_in = native_token.sign_in_with(
            request._request,
            pending,
            given.validated_data["id_token"],
            discovery_domain=given.validated_data.get("discovery_domain", ""),
            nonce=binding.form_token(secret, PURPOSE),
        )
        if isinstance(signed_in, Pending):
            return pending_response(signed_in.retry_after)
        page = next_step(request._request, signed_in)
        # Where the next leg of a chain cannot begin there is a page, and the flow's own address shows it.
        location = page.headers.get("Location") or reverse("lazyauth:flow", args=[session_id])
        response = Response({"state": "authenticated", "location": location})
        response.cookies.update(page.cookies)
        return response
