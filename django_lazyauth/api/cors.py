"""Let scripts of other origins call an endpoint (Fetch, CORS). Never with credentials: cookies mean nothing here."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
MAX_AGE = "600"


def preflight(request: Request, methods: Iterable[str]) -> HttpResponse:
    """Answer what a browser asks before it sends the request itself."""
    response = HttpResponse(status=204)
    response.headers["Allow"] = ", ".join(methods)
    if request.META.get("HTTP_ORIGIN"):
        response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
        response.headers["Access-Control-Allow-Headers"] = HEADERS
        response.headers["Access-Control-Max-Age"] = MAX_AGE
    return response


def allow_origin(request: Request, response: HttpResponseBase) -> None:
    """Let the script that asked read the answer.

    Its origin cannot be known yet where a client registers, and where it manages itself the token in the header
    is what counts: a page of somebody else has none.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate, Retry-After"
    response.headers["Vary"] = "Origin"
