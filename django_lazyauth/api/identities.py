"""The identities of the person who is signed in here: list, link, unlink.

By the browser's session only: a client holds the access token, and no client may add a way to sign in.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus

from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.kit.results import Pending
from django_lazyauth.sign_in import identities
from django_lazyauth.sign_in.identities import (
    IdentityTaken,
    LastWayIn,
    NoSuchIdentity,
    ReauthenticationRequired,
)

from .base import IdTokenParser, PersonView, described, pending_response, person_of
from .serializers import (
    IdentityListSerializer,
    IdentitySerializer,
    IdTokenSerializer,
    RejectedSerializer,
    StateSerializer,
)

NONCE_KEY = "django_lazyauth.link"
REFUSALS: dict[type[Exception], tuple[str, HTTPStatus]] = {
    ReauthenticationRequired: ("reauthentication_required", HTTPStatus.FORBIDDEN),
    NoSuchIdentity: ("not_found", HTTPStatus.NOT_FOUND),
    IdentityTaken: ("taken", HTTPStatus.CONFLICT),
    LastWayIn: ("last_way_in", HTTPStatus.CONFLICT),
}


def link_nonce(request: Request) -> str:
    """Return the nonce for links in this session. No token that was made for another session or person has it.

    It is not derived from the session's key: a session in signed cookies has another key after each change.
    """
    session = request._request.session
    if NONCE_KEY not in session:
        session[NONCE_KEY] = secrets.token_urlsafe(32)
    value = f"{session[NONCE_KEY]}\n{request.user.pk}"
    return salted_hmac("django_lazyauth.link", value, algorithm="sha256").hexdigest()


class IdentitiesView(PersonView):
    """All identities of the person."""

    parser_classes = (IdTokenParser,)
    refusals = REFUSALS

    @described(
        summary="List your identities",
        responses={200: IdentityListSerializer},
        tags=["identities"],
    )
    def get(self, request: Request) -> Response:
        """List the identities, and the nonce for the ID token of a new one."""
        listed = IdentityListSerializer(
            {"nonce": link_nonce(request), "identities": identities.of_user(person_of(request))}
        )
        return Response(listed.data)

    @described(
        summary="Link an identity",
        request=IdTokenSerializer,
        responses={
            200: IdentitySerializer,
            201: IdentitySerializer,
            202: StateSerializer,
            400: RejectedSerializer,
            403: RejectedSerializer,
            409: RejectedSerializer,
            503: RejectedSerializer,
        },
        tags=["identities"],
    )
    @sensitive_variables()
    def post(self, request: Request) -> Response:
        """Link the person that an ID token names. Needs a sign-in of the last ten minutes.

        After a 202 the same request may come again.
        """
        given = IdTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        identities.require_fresh(request._request)
        linked = identities.link(
            person_of(request),
            given.validated_data["id_token"],
            discovery_domain=given.validated_data.get("discovery_domain", ""),
            nonce=link_nonce(request),
        )
        if isinstance(linked, Pending):
            return pending_response(linked.retry_after)
        identity, is_new = linked
        return Response(
            IdentitySerializer(identity).data, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK
        )


class IdentityView(PersonView):
    """One identity of the person."""

    refusals = REFUSALS

    @described(
        summary="Unlink an identity",
        responses={204: None, 403: RejectedSerializer, 404: RejectedSerializer, 409: RejectedSerializer},
        tags=["identities"],
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Remove a way to sign in, never the last one. Needs a sign-in of the last ten minutes."""
        identities.require_fresh(request._request)
        identities.unlink(person_of(request), pk)
        return Response(status=HTTPStatus.NO_CONTENT)
