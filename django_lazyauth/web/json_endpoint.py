"""What every endpoint that answers JSON shares: no cache keeps it, scripts of other origins may call it (CORS).

The endpoints of the API build on it too (:mod:`django_lazyauth.api.base`). Never with credentials: cookies mean
nothing at an endpoint that clients call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from django_lazyauth.errors import InvalidRequest

from .request_input import UNREADABLE, outside_transactions, read_body

View = Callable[..., HttpResponse]
ALLOWED_HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
#: Headers that a script may read. Without the challenge it cannot tell why it was refused (RFC 6750 §3).
EXPOSED_HEADERS = "WWW-Authenticate, Retry-After"
#: Seconds for which a browser remembers the answer to a preflight.
PREFLIGHT_MAX_AGE = 600
#: Seconds after which a client may retry when something here or at an upstream is unavailable.
RETRY_AFTER_UNAVAILABLE = 60
SECRETS = ("code", "code_verifier", "client_secret", "refresh_token", "token")


def json_response(
    body: str | Mapping[str, Any], *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return *body*, or a JSON object that was encoded before, as an answer that no cache keeps."""
    text = body if isinstance(body, str) else json.dumps(body)
    response = HttpResponse(text, status=status, headers=headers)
    response.headers["Content-Type"] = "application/json"
    forbid_caching(response)
    return response


def forbid_caching(response: HttpResponseBase) -> None:
    """Keep an answer of one moment and one person out of every cache (RFC 6749 §5.1, RFC 9111 §5.2.2.5)."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"


def allow_origin(response: HttpResponseBase, origin: str) -> None:
    """Let a script of *origin* read the answer; ``*`` for a script of any origin."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def preflight(request: HttpRequest, methods: Iterable[str]) -> HttpResponse:
    """Let a browser send the request. Whether its script may read the answer is decided with the answer."""
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    response.headers["Allow"] = ", ".join(methods)
    origin = request.META.get("HTTP_ORIGIN")
    if origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE)
        response.headers["Vary"] = "Origin"
    return response


def json_endpoint(*methods: str) -> Callable[[View], View]:
    """Make a view that clients call: no login, no CSRF token, no transaction around it, errors as JSON."""

    def decorate(view: View) -> View:
        @sensitive_post_parameters(*SECRETS)
        def endpoint(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                return preflight(request, methods)
            if request.method not in methods:
                error = InvalidRequest("This endpoint does not take this method.")
                allow = {"Allow": ", ".join(methods)}
                return json_response(error.as_dict(), status=HTTPStatus.METHOD_NOT_ALLOWED, headers=allow)
            try:
                read_body(request)
                return view(request, *args, **kwargs)
            except UNREADABLE:
                error = InvalidRequest("The body cannot be read.")
                return json_response(error.as_dict(), status=error.status)

        return login_not_required(csrf_exempt(outside_transactions(endpoint)))

    return decorate
