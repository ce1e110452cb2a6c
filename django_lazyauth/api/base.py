"""What the endpoints of this API share: JSON whatever the host's defaults are, throttles, refusals, a schema.

Not here: answers without DRF (:mod:`django_lazyauth.web.json_endpoint`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import IO, Any, ClassVar, NoReturn, TypeVar, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.decorators import method_decorator
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView, exception_handler

from django_lazyauth.errors import (
    AccessDenied,
    IdentityRejected,
    InvalidGrant,
    ProviderUnavailable,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.cors import ANY_ORIGIN, allow_origin, preflight
from django_lazyauth.kit.http import outside_transactions
from django_lazyauth.kit.network import network_of
from django_lazyauth.kit.throttle import Throttle, Verdict
from django_lazyauth.openid.jose import CONFIGURED_TOKEN_LIMIT
from django_lazyauth.resource_server.challenge import IssuerUnavailable
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in.native_token import TokenRefused
from django_lazyauth.web.json_endpoint import (
    RETRY_AFTER_UNAVAILABLE,
    failure_response,
    find_length,
    forbid_caching,
)
from django_lazyauth.web.request_input import hidden_from_reports

View = TypeVar("View", bound=Callable[..., Any])

try:
    from drf_spectacular.utils import extend_schema
except ImportError:  # the extra "openapi" is not installed

    def described(**words: Any) -> Callable[[View], View]:
        """Describe an endpoint for the OpenAPI document."""
        return lambda view: view
else:

    def described(**words: Any) -> Callable[[View], View]:
        """Describe an endpoint for the OpenAPI document."""
        decorate: Callable[[View], View] = extend_schema(**words)
        return decorate


class ShortJSONParser(BaseParser):
    """Reads JSON and nothing else, and a bounded number of bytes of it."""

    media_type = "application/json"
    max_bytes: ClassVar[int] = 32 * 1024

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(self.max_bytes + 1)
        if len(body) > self.max_bytes:
            raise self.too_long()
        try:
            return json.loads(body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise self.not_json() from None

    def too_long(self) -> Exception:
        return ParseError("The body is too long.")

    def not_json(self) -> Exception:
        return ParseError("The body is not JSON.")


class IdTokenParser(ShortJSONParser):
    """Reads an ID token and a domain. How long the token of a provider may be is decided when it is known."""

    max_bytes = CONFIGURED_TOKEN_LIMIT + 4 * 1024


def _refuse_constant(name: str) -> NoReturn:
    """Refuse ``NaN`` and ``Infinity``: they are not JSON, and no database keeps them in it."""
    raise ValueError(name)


class NetworkThrottle(BaseThrottle):
    """Allow each network (/24, /56) as many requests as the view's ``throttle``."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        throttle: Throttle = view.throttle  # type: ignore[attr-defined]  # every view here has one
        verdict = throttle.judge(network_of(request._request))
        if verdict is Verdict.UNKNOWN and not throttle.fails_open:
            raise TemporarilyUnavailable
        return verdict is not Verdict.BEYOND

    def wait(self) -> float:
        return 60


@method_decorator([login_not_required, outside_transactions, hidden_from_reports], name="dispatch")
class OwnView(APIView):
    """Base of our endpoints. The host's DRF defaults (versions, renderers, errors) do not apply to them.

    No transaction stands around the request: an upstream may be asked meanwhile.
    """

    #: Whether scripts of other origins may call it: it reads no cookie.
    is_shared: ClassVar[bool] = True

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[Any] = (AllowAny,)
    renderer_classes = (JSONRenderer,)
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    content_negotiation_class: type[Any] = DefaultContentNegotiation
    versioning_class = None

    def get_exception_handler(self) -> Callable[..., Any]:
        return exception_handler

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "OPTIONS":
            answer: HttpResponseBase = preflight(request, self.allowed_methods, is_shared=self.is_shared)
            forbid_caching(answer)
        else:
            answer = super().dispatch(request, *args, **kwargs)
        return answer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        find_length(request._request)
        super().initial(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Any:
        """Return what a client may know of *exc*: DRF's answer for its own errors, ours for all others."""
        if isinstance(exc, IssuerUnavailable):
            # It is this site.
            return failure_response(TemporarilyUnavailable())
        if isinstance(exc, (APIException, Http404, PermissionDenied)):
            return super().handle_exception(exc)
        return failure_response(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        forbid_caching(response)
        if self.is_shared:
            allow_origin(response, ANY_ORIGIN)
        return response


def refusal(reason: str, status: int = HTTPStatus.BAD_REQUEST) -> Response:
    """Return why not, as one word."""
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Retry-After": str(RETRY_AFTER_UNAVAILABLE)} if unavailable else None
    return Response({"state": "rejected", "reason": reason}, status=status, headers=headers)


class JSONView(OwnView):
    """Base of our endpoints that read JSON and count requests. What a room refuses is one word and a status."""

    parser_classes = (ShortJSONParser,)
    throttle_classes = (NetworkThrottle,)
    throttle = Throttle("api", 60, timedelta(minutes=1), fails_open=True)
    #: Error of a room → reason and status.
    refusals: ClassVar[Mapping[type[Exception], tuple[str, HTTPStatus]]] = {}

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, APIException):
            return super().handle_exception(exc)
        if isinstance(exc, TokenRefused):
            answer = self.handle_exception(exc.cause)
            answer.data["reference"] = exc.reference
            return answer
        if isinstance(exc, IdentityRejected):
            return refusal(exc.reason)
        if isinstance(exc, ProviderUnavailable):
            return refusal(exc.reason, HTTPStatus.SERVICE_UNAVAILABLE)
        if isinstance(exc, InvalidGrant):
            return refusal(exc.error, HTTPStatus.NOT_FOUND)
        if isinstance(exc, AccessDenied):
            return refusal(AccessDenied.error, HTTPStatus.FORBIDDEN)
        if type(exc) in self.refusals:
            return refusal(*self.refusals[type(exc)])
        return super().handle_exception(exc)


class IsSignedIn(IsAuthenticated):
    """The person of this browser, unless their sign-in has ended (:func:`.browser.current_user`)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) and browser.current_user(request._request) is not None


class PersonView(JSONView):
    """Base of endpoints for a person in their own browser. The token of a client opens none of them."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsSignedIn,)
    is_shared = False


def person_of(request: Request) -> AbstractBaseUser:
    """Return who calls a :class:`PersonView`."""
    return cast(AbstractBaseUser, request.user)


def pending_response(retry_after: int) -> Response:
    """Return 202: look again, or send the same request again, in *retry_after* seconds."""
    return Response(
        {"state": "pending"}, status=HTTPStatus.ACCEPTED, headers={"Retry-After": str(retry_after)}
    )
