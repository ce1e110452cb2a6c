"""The registration endpoint and the clients' configuration endpoints (RFC 7591 §3, RFC 7592 §2): HTTP only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponseBase
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.clients import registration, registration_management
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClientMetadata, InvalidRequest, InvalidToken, OAuthError
from django_lazyauth.kit.http import parse_bearer
from django_lazyauth.kit.network import network_of
from django_lazyauth.web.transactions import outside_transactions

from .cors import allow_origin, preflight

#: Ten redirect URIs, names in fifty languages and a key set fit many times over.
MAX_BODY = 64 * 1024
MAX_TOKEN_LENGTH = 1024
#: Seconds after which a refused network or a failed store may be asked again.
RETRY_AFTER = {HTTPStatus.TOO_MANY_REQUESTS: "3600", HTTPStatus.SERVICE_UNAVAILABLE: "60"}


class TooLarge(OAuthError):
    """The body is longer than any registration needs to be (RFC 9110 §15.5.14)."""

    error = "invalid_client_metadata"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class MetadataParser(BaseParser):
    """Reads JSON and nothing else, at most ``MAX_BODY`` bytes of it."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise TooLarge(f"The body is longer than {MAX_BODY} bytes.")
        try:
            return json.loads(body.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise InvalidClientMetadata("The body is not JSON.") from None


def _no_number(name: str) -> NoReturn:
    """``NaN`` and ``Infinity`` are no JSON, and no database keeps them in it."""
    raise ValueError(name)


class AlwaysJson(BaseContentNegotiation):
    """Answers JSON, whatever ``Accept`` says: a client that got HTML could not read its error."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        # Media types are compared without parameters: "application/json; charset=utf-8" is JSON.
        named = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == named), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class RegistrationAPIView(APIView):
    """What both endpoints share: nobody is signed in, nothing is cached, errors are the protocol's."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    versioning_class = None
    parser_classes = (MetadataParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJson

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return preflight(request, self.allowed_methods)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "OPTIONS" or request.is_secure():
            return
        if not (settings.DEBUG and lazyauth_settings.issuer_is_loopback):
            raise InvalidRequest("Registration needs https.")

    def read_body(self, request: Request) -> Any:
        """Return the parsed body.

        Raises:
            TooLarge: It says so itself, or is.
            InvalidClientMetadata: It is not JSON.
        """
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY:
            raise TooLarge(f"The body is longer than {MAX_BODY} bytes.")
        if length == 0:
            # Which DRF would take for an empty object.
            raise InvalidClientMetadata("The body is empty.")
        return request.data

    def bearer(self, request: Request) -> str:
        """Return the bearer token of the request, or an empty text (RFC 6750 §2.1)."""
        token = parse_bearer(request.META.get("HTTP_AUTHORIZATION", "")) or ""
        return token if len(token) <= MAX_TOKEN_LENGTH else ""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, exceptions.UnsupportedMediaType):
            exc = UnsupportedMedia("The body must be application/json.")
        elif isinstance(exc, exceptions.MethodNotAllowed):
            response = Response({"error": "invalid_request"}, status=exc.status_code)
            response.exception = True
            return response
        elif isinstance(exc, (exceptions.ParseError, ValueError, OSError)):
            # A length that is no number, a body that breaks off.
            exc = InvalidClientMetadata("The body cannot be read.")
        if not isinstance(exc, OAuthError):
            raise exc
        response = Response(exc.as_dict(), status=exc.status)
        response.exception = True
        if isinstance(exc, InvalidToken):
            challenge = f'Bearer error="{exc.error}", error_description="{exc.description}"'
            response.headers["WWW-Authenticate"] = challenge
        if exc.status in RETRY_AFTER:
            response.headers["Retry-After"] = RETRY_AFTER[exc.status]
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        allow_origin(request, response)
        return response


class UnsupportedMedia(OAuthError):
    """The body is of another media type than JSON (RFC 9110 §15.5.16)."""

    error = "invalid_client_metadata"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class RegisterView(RegistrationAPIView):
    """Register a client (RFC 7591 §3.1)."""

    def post(self, request: Request) -> Response:
        answer = registration.register(
            self.read_body(request),
            network=network_of(request._request),
            initial_access_token=self.bearer(request),
        )
        return Response(answer, status=HTTPStatus.CREATED)


class RegisteredClientView(RegistrationAPIView):
    """Read, replace or delete a registration with its token (RFC 7592 §2)."""

    def get(self, request: Request, client_id: str) -> Response:
        return Response(registration_management.read(client_id, self.bearer(request)))

    def put(self, request: Request, client_id: str) -> Response:
        replaced = registration_management.replace(
            client_id, self.bearer(request), read_document=lambda: self.read_body(request)
        )
        return Response(replaced)

    def delete(self, request: Request, client_id: str) -> Response:
        registration_management.unregister(client_id, self.bearer(request))
        return Response(status=HTTPStatus.NO_CONTENT)


def endpoint(view: type[APIView]) -> Callable[..., HttpResponseBase]:
    """Make a URL's callable: open to who is not signed in, and with no transaction of the request around it."""
    return login_not_required(outside_transactions(view.as_view()))


register_view = endpoint(RegisterView)
registered_client_view = endpoint(RegisteredClientView)
