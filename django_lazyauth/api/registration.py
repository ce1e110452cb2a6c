"""The registration endpoint and the clients' configuration endpoints (RFC 7591 §3, RFC 7592 §2): HTTP only."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.clients import registration, registration_management
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClientMetadata, InvalidRequest, InvalidToken, OAuthError
from django_lazyauth.kit.cors import allow_origin
from django_lazyauth.kit.http import parse_bearer
from django_lazyauth.kit.network import network_of
from django_lazyauth.web.json_endpoint import WrongMethod, failure_response
from django_lazyauth.web.request_input import announced_length

from .base import OwnView, ShortJSONParser, described
from .serializers import ClientInformationSerializer, ClientMetadataSerializer, ErrorSerializer

MAX_TOKEN_LENGTH = 1024
TAGS = ["Client registration"]
#: For the OpenAPI document. A registration token is not a bearer token of the API, so no security scheme fits.
TOKEN = "Needs `Authorization: Bearer <registration access token>`."
REFUSED = dict.fromkeys((400, 401, 503), ErrorSerializer)


class TooLarge(OAuthError):
    """The body is longer than any registration needs to be (RFC 9110 §15.5.14)."""

    error = "invalid_client_metadata"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(OAuthError):
    """The body is of another media type than JSON (RFC 9110 §15.5.16)."""

    error = "invalid_client_metadata"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class MetadataParser(ShortJSONParser):
    """Client metadata: ten redirect URIs, names in fifty languages and a key set fit many times."""

    max_bytes = 64 * 1024

    def too_long(self) -> TooLarge:
        return TooLarge(f"The body is longer than {self.max_bytes} bytes.")

    def not_json(self) -> InvalidClientMetadata:
        return InvalidClientMetadata("The body is not JSON.")


class AlwaysJson(BaseContentNegotiation):
    """Answers JSON whatever ``Accept`` says: a client that got HTML could not read its error."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        # Media types are compared without parameters: "application/json; charset=utf-8" is JSON.
        named = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == named), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class RegistrationAPIView(OwnView):
    """What both endpoints share: nobody is signed in, scripts of any origin may call, errors are the protocol's."""

    parser_classes = (MetadataParser,)
    content_negotiation_class = AlwaysJson

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.is_secure():
            return
        if not (settings.DEBUG and lazyauth_settings.issuer_is_loopback):
            raise InvalidRequest("Registration needs https.")

    def read_body(self, request: Request) -> Any:
        """Return the parsed body.

        Raises:
            TooLarge: The body, or the length that it announces, is too large.
            InvalidClientMetadata: It is not JSON.
        """
        try:
            length = announced_length(request._request)
            if length > MetadataParser.max_bytes:
                raise MetadataParser().too_long()
            if length == 0:
                # DRF would read it as an empty object.
                raise InvalidClientMetadata("The body is empty.")
            return request.data
        except (exceptions.ParseError, ValueError, OSError):
            # A client that disconnected, for one.
            raise InvalidClientMetadata("The body cannot be read.") from None

    def bearer(self, request: Request) -> str:
        """Return the bearer token of the request, or an empty text (RFC 6750 §2.1)."""
        token = parse_bearer(request.META.get("HTTP_AUTHORIZATION", "")) or ""
        return token if len(token) <= MAX_TOKEN_LENGTH else ""

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, exceptions.MethodNotAllowed):
            exc = WrongMethod()
        if isinstance(exc, exceptions.UnsupportedMediaType):
            exc = UnsupportedMedia("The body must be application/json.")
        response = failure_response(exc)
        if isinstance(exc, InvalidToken):
            challenge = f'Bearer error="{exc.error}", error_description="{exc.description}"'
            response.headers["WWW-Authenticate"] = challenge
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let any script read the answer: the origin of a new client cannot be known, others show their token."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if origin := request.META.get("HTTP_ORIGIN"):
            allow_origin(response, origin)
        response.headers["Vary"] = "Origin"
        return response


class RegisterView(RegistrationAPIView):
    """Register a client (RFC 7591 §3.1)."""

    @described(
        tags=TAGS,
        operation_id="register_client",
        summary="Register a client (RFC 7591)",
        description="Where the site asks for it, with an initial access token as bearer.",
        request=ClientMetadataSerializer,
        responses={
            201: ClientInformationSerializer,
            **REFUSED,
            **dict.fromkeys((403, 413, 415, 429), ErrorSerializer),
        },
    )
    def post(self, request: Request) -> Response:
        answer = registration.register(
            self.read_body(request),
            network=network_of(request._request),
            initial_access_token=self.bearer(request),
        )
        return Response(answer, status=HTTPStatus.CREATED)


class RegisteredClientView(RegistrationAPIView):
    """Read, replace or delete a registration with its token (RFC 7592 §2)."""

    @described(
        tags=TAGS,
        operation_id="read_client",
        summary="Read a registration (RFC 7592)",
        description=TOKEN,
        responses={200: ClientInformationSerializer, **REFUSED},
    )
    def get(self, request: Request, client_id: str) -> Response:
        return Response(registration_management.read(client_id, self.bearer(request)))

    @described(
        tags=TAGS,
        operation_id="replace_client",
        summary="Replace a registration and its token (RFC 7592)",
        description=TOKEN,
        request=ClientMetadataSerializer,
        responses={
            200: ClientInformationSerializer,
            **REFUSED,
            **dict.fromkeys((413, 415, 429), ErrorSerializer),
        },
    )
    def put(self, request: Request, client_id: str) -> Response:
        replaced = registration_management.replace(
            client_id,
            self.bearer(request),
            network=network_of(request._request),
            read_document=lambda: self.read_body(request),
        )
        return Response(replaced)

    @described(
        tags=TAGS,
        operation_id="delete_client",
        summary="Delete a registration and all that came of it (RFC 7592)",
        description=TOKEN,
        responses={204: None, **REFUSED},
    )
    def delete(self, request: Request, client_id: str) -> Response:
        registration_management.unregister(client_id, self.bearer(request))
        return Response(status=HTTPStatus.NO_CONTENT)
