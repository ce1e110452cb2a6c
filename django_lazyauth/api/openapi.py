"""Views as OpenAPI describes them, where a host has drf-spectacular: loaded only then.

Validation lives in ``registration.metadata``; the serializers here say in OpenAPI's words what it accepts.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from .registration_serializers import ClientInformationSerializer, ClientMetadataSerializer, ErrorSerializer
from .serializers import UpstreamTokenSerializer

TAG = "Client registration"
CLIENT_ID = OpenApiParameter("client_id", OpenApiTypes.STR, OpenApiParameter.PATH)
#: A registration token is no bearer token of the API, so no security scheme of the API describes it.
TOKEN = "Needs `Authorization: Bearer <registration access token>`."


def _errors(*statuses: int) -> dict[int, OpenApiResponse]:
    words = {
        400: "The metadata cannot be registered.",
        401: "The token is not valid here.",
        403: "Clients do not register themselves on this site.",
        413: "The body is too long.",
        415: "The body is not JSON.",
        429: "Too many registrations from this network.",
        503: "Registration is not possible at the moment.",
    }
    return {status: OpenApiResponse(ErrorSerializer, description=words[status]) for status in statuses}


class RegisterViewDescription(OpenApiViewExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    target_class = "django_lazyauth.api.registration.RegisterView"

    def view_replacement(self) -> Any:
        target: Any = self.target

        @extend_schema(tags=[TAG])
        class Described(target):  # type: ignore[misc]  # known at run time only
            @extend_schema(
                operation_id="register_client",
                summary="Register a client (RFC 7591)",
                description="Where the site asks for it, with an initial access token as bearer.",
                request=ClientMetadataSerializer,
                responses={201: ClientInformationSerializer, **_errors(400, 401, 403, 413, 415, 429, 503)},
            )
            def post(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                return super().post(request)

        return Described


class RegisteredClientViewDescription(OpenApiViewExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    target_class = "django_lazyauth.api.registration.RegisteredClientView"

    def view_replacement(self) -> Any:
        target: Any = self.target
        refused = _errors(400, 401, 503)

        @extend_schema(tags=[TAG], parameters=[CLIENT_ID])
        class Described(target):  # type: ignore[misc]  # known at run time only
            @extend_schema(
                operation_id="read_client",
                summary="Read a registration (RFC 7592)",
                description=TOKEN,
                responses={200: ClientInformationSerializer, **refused},
            )
            def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                return super().get(request, *args, **kwargs)

            @extend_schema(
                operation_id="replace_client",
                summary="Replace a registration and its token (RFC 7592)",
                description=TOKEN,
                request=ClientMetadataSerializer,
                responses={200: ClientInformationSerializer, **refused, **_errors(413, 415)},
            )
            def put(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                return super().put(request, *args, **kwargs)

            @extend_schema(
                operation_id="delete_client",
                summary="Delete a registration and all that came of it (RFC 7592)",
                description=TOKEN,
                responses={204: None, **refused},
            )
            def delete(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                return super().delete(request, *args, **kwargs)

        return Described


class UpstreamTokenViewDescription(OpenApiViewExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    target_class = "django_lazyauth.api.views.UpstreamTokenView"

    def view_replacement(self) -> Any:
        target: Any = self.target

        class Described(target):  # type: ignore[misc]  # known at run time only
            @extend_schema(
                operation_id="upstream_token",
                summary="Fetch a fresh token of an upstream for the person behind the access token",
                parameters=[
                    OpenApiParameter("provider", OpenApiTypes.STR, OpenApiParameter.PATH),
                    OpenApiParameter("refused_version", OpenApiTypes.INT, OpenApiParameter.QUERY),
                ],
                responses={200: UpstreamTokenSerializer},
            )
            def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                return super().get(request, *args, **kwargs)

        return Described


class BearerDescription(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    target_class = "django_lazyauth.api.authentication.LazyAuthAuthentication"
    name = "lazyauthBearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
