"""What the endpoints of this app share: JSON in and out whatever the host's defaults are, throttles, a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import IO, Any, TypeVar, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_not_required
from django.utils.decorators import method_decorator
from rest_framework import status
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView, exception_handler

from django_lazyauth.kit.network import network_of
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.openid.results import Pending
from django_lazyauth.web.transactions import outside_transactions

View = TypeVar("View", bound=Callable[..., Any])

#: Bytes of a request body: an ID token of 16 KiB and a domain.
BODY_LIMIT = 32 * 1024

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
    """JSON of a bounded size; what cannot be read is a 400, however deep it is nested."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raw = stream.read(BODY_LIMIT + 1)
        if len(raw) > BODY_LIMIT:
            raise ParseError("The body is too long.")
        try:
            return json.loads(raw.decode())
        except (ValueError, RecursionError):
            raise ParseError("The body is not JSON.") from None


class NetworkThrottle(BaseThrottle):
    """So many requests per minute and network (/24, /56) as the view allows."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        throttle: Throttle = view.throttle  # type: ignore[attr-defined]  # every view here has one
        return throttle.take(network_of(request._request))

    def wait(self) -> float:
        return 60


@method_decorator([login_not_required, outside_transactions], name="dispatch")
class OwnView(APIView):
    """What no default of the host's changes: it has versions, renderers and errors for its own API, not for ours.

    No request-wide transaction: an upstream may be asked in between.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[Any] = (AllowAny,)
    renderer_classes = (JSONRenderer,)
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    content_negotiation_class = DefaultContentNegotiation
    versioning_class = None

    def get_exception_handler(self) -> Callable[..., Any]:
        return exception_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Every answer is of one moment and one person, errors included: no cache keeps it (RFC 9111 §5.2.2.5)."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        return response


class JSONView(OwnView):
    """Base of our endpoints that read JSON and count who asks."""

    parser_classes = (ShortJSONParser,)
    throttle_classes = (NetworkThrottle,)
    throttle = Throttle("api", 60, timedelta(minutes=1), fails_open=True)


class PersonView(JSONView):
    """Base of what only the person themselves may do, in their browser: no client's token opens it."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)


def person_of(request: Request) -> AbstractBaseUser:
    """Return who calls a :class:`PersonView`."""
    return cast(AbstractBaseUser, request.user)


def pending_response(pending: Pending) -> Response:
    """Return 202: look again, or send the same again, in ``Retry-After`` seconds."""
    return Response(
        {"state": "pending"},
        status=status.HTTP_202_ACCEPTED,
        headers={"Retry-After": str(pending.retry_after)},
    )


def refusal(reason: str, code: int = status.HTTP_400_BAD_REQUEST, **headers: str) -> Response:
    """Return why not, as one word."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response({"state": "rejected", "reason": reason}, status=code, headers=names)
