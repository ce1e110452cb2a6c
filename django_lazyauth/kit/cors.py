"""Which scripts of other origins may call an endpoint and read its answers (Fetch, CORS protocol).

Never with credentials: an answer that depends on a cookie is for this site's own pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseBase

ALLOWED_HEADERS = "Authorization, Content-Type, DPoP, MCP-Protocol-Version"
#: Headers that a script may read. Without the challenge it cannot tell why it was refused (RFC 6750 §3), and without
#: the nonce it cannot try again (RFC 9449 §8.2).
EXPOSED_HEADERS = "WWW-Authenticate, Retry-After, DPoP-Nonce"
#: Seconds for which a browser remembers the answer to a preflight.
PREFLIGHT_MAX_AGE = 600
#: For :func:`allow_origin`: the answer depends neither on a cookie nor on whose script it is.
ANY_ORIGIN = "*"


def allow_origin(response: HttpResponseBase, origin: str) -> None:
    """Let a script of *origin* read the answer; :data:`ANY_ORIGIN` for a script of any origin."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def preflight(request: HttpRequest, methods: Iterable[str], *, is_shared: bool = True) -> HttpResponse:
    """Answer ``OPTIONS``, before anybody is authenticated: a preflight carries no credentials.

    Args:
        is_shared: Whether a browser may send the request for a script of another origin. Whether that script may
            read the answer is decided with the answer.
    """
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    response.headers["Allow"] = ", ".join(methods)
    origin = request.META.get("HTTP_ORIGIN")
    if origin and is_shared:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE)
        response.headers["Vary"] = "Origin"
    return response
