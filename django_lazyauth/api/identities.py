"""The identities of the person who is signed in here: list, link, unlink.

By the browser's session only: an access token is in the hands of a client, and no client may add a way in.
"""

from __future__ import annotations

import secrets

from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.openid.results import Pending
from django_lazyauth.sign_in import identities
from django_lazyauth.sign_in.identities import IdentityTaken, LastWayIn, ReauthenticationRequired

from .base import PersonView, described, pending_response, person_of, refusal
from .serializers import (
    IdentityListSerializer,
    IdentitySerializer,
    IdTokenSerializer,
    RejectedSerializer,
    StateSerializer,
)

NONCE_KEY = "django_lazyauth.link"


def link_nonce(request: Request) -> str:
    """Return the nonce for links in this session: no token made for another session or person has it.

    Not of the session's key: one in signed cookies has another after each change.
    """
    session = request._request.session
    if NONCE_KEY not in session:
        session[NONCE_KEY] = secrets.token_urlsafe(32)
    value = f"{session[NONCE_KEY]}\n{request.user.pk}"
    return salted_hmac("django_lazyauth.link", value, algorithm="sha256").hexdigest()


class IdentitiesView(PersonView):
    """All of them."""

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
        """Link whom an ID token names. Needs a sign-in of the last ten minutes; after a 202 send it again."""
        given = IdTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            identities.require_fresh(request._request)
            linked = identities.link(
                person_of(request),
                given.validated_data["id_token"],
                discovery_domain=given.validated_data.get("discovery_domain", ""),
                nonce=link_nonce(request),
            )
        except ReauthenticationRequired:
            return refusal("reauthentication_required", status.HTTP_403_FORBIDDEN)
        except IdentityRejected as error:
            return refusal(error.reason)
        except IdentityTaken:
            return refusal("taken", status.HTTP_409_CONFLICT)
        except ProviderUnavailable as error:
            return refusal(error.reason, status.HTTP_503_SERVICE_UNAVAILABLE, Retry_After="60")
        if isinstance(linked, Pending):
            return pending_response(linked)
        identity, is_new = linked
        return Response(
            IdentitySerializer(identity).data,
            status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK,
        )


class IdentityView(PersonView):
    """One of them."""

    @described(
        summary="Unlink an identity",
        responses={204: None, 403: RejectedSerializer, 404: RejectedSerializer, 409: RejectedSerializer},
        tags=["identities"],
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Take a way in away, never the last. Needs a sign-in of the last ten minutes."""
        try:
            identities.require_fresh(request._request)
            identities.unlink(person_of(request), pk)
        except ReauthenticationRequired:
            return refusal("reauthentication_required", status.HTTP_403_FORBIDDEN)
        except ProviderIdentity.DoesNotExist:
            return refusal("not_found", status.HTTP_404_NOT_FOUND)
        except LastWayIn:
            return refusal("last_way_in", status.HTTP_409_CONFLICT)
        return Response(status=status.HTTP_204_NO_CONTENT)
