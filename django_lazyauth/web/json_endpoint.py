"""What every endpoint that answers JSON shares: no cache keeps it, and every failure is JSON with its true reason.

The endpoints of the API build on it too (:mod:`django_lazyauth.api.base`). Which scripts of other origins may read the
answer is decided here, before anybody is authenticated (:mod:`django_lazyauth.kit.cors`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from django_lazyauth.errors import InvalidRequest, OAuthError, TemporarilyUnavailable
from django_lazyauth.grants.contract import error_of
from django_lazyauth.kit.cors import ANY_ORIGIN, allow_origin, preflight
from django_lazyauth.kit.http import outside_transactions
from django_lazyauth.kit.log import log_failure

from .request_input import UNREADABLE, announced_length, hidden_from_reports, read_body

logger = logging.getLogger("django_lazyauth.endpoint")

View = Callable[..., HttpResponse]
#: Seconds after which a client may retry when something here or at an upstream is unavailable.
RETRY_AFTER_UNAVAILABLE = TemporarilyUnavailable.retry_after


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


def error_response(error: OAuthError) -> HttpResponse:
    """Return *error* as JSON; ``Retry-After`` says when another try makes sense."""
    return json_response(error.as_dict(), status=error.status, headers=error.headers())


def failure_response(error: Exception) -> HttpResponse:
    """Return what a client may know of *error*. One that no room expected is logged by class and place only (I13)."""
    if isinstance(error, UNREADABLE):
        return error_response(_unreadable(error))
    if isinstance(error, Http404):
        return json_response({"error": "not_found"}, status=HTTPStatus.NOT_FOUND)
    if isinstance(error, OAuthError):
        return error_response(error)
    log_failure(logger, "an endpoint failed", error)
    return error_response(error_of(error))


def _unreadable(error: Exception) -> InvalidRequest:
    """Return why Django does not read a request. What its own settings bound is not the client's encoding."""
    if isinstance(error, RequestDataTooBig):
        return TooLarge("The body is longer than this site reads.")
    if isinstance(error, TooManyFieldsSent):
        return InvalidRequest("The request has more parameters than this site reads.")
    return InvalidRequest("The body cannot be read.")


class WrongMethod(InvalidRequest):
    """The endpoint does not take this method (RFC 9110 §15.5.6)."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self) -> None:
        super().__init__("This endpoint does not take this method.")


class TooLarge(InvalidRequest):
    """The body is longer than any request here needs to be (RFC 9110 §15.5.14)."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class LengthRequired(InvalidRequest):
    """The body came in chunks, and this server gives us none of it (RFC 9110 §15.5.12)."""

    status = HTTPStatus.LENGTH_REQUIRED


def find_length(request: HttpRequest) -> None:
    """Note the length of a body that came in chunks: REST framework reads none without one.

    Raises:
        LengthRequired: It is not there. Django reads bodies in chunks from ASGI servers only.
        BadRequest: The length that the request announces is no number.
    """
    if announced_length(request) or "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        return
    length = len(request.body)
    if not length:
        raise LengthRequired("The body came in chunks, which this server cannot read. Send a Content-Length.")
    request.META["CONTENT_LENGTH"] = str(length)


def _check_length(request: HttpRequest, max_bytes: int | None) -> None:
    """Refuse a body by the length that it announces, or came with; none is read without one."""
    find_length(request)
    if max_bytes is not None and announced_length(request) > max_bytes:
        raise TooLarge(f"The body is longer than {max_bytes} bytes.")


@dataclass(frozen=True, slots=True)
class Readers:
    """Which origins may read the answer to one request, as values of ``Access-Control-Allow-Origin``; empty: none.

    Attributes:
        of_answers: Of an answer that holds what was asked for.
        of_refusals: Of an error about a request that the site understood.
    """

    of_answers: str = ""
    of_refusals: str = ""

    def of(self, status: int) -> str:
        """Return who may read an answer of *status*.

        A failed authentication and a failure of ours say nothing about a client, so every script may read them. It
        learns that it has to register again, or to wait.
        """
        if status < HTTPStatus.BAD_REQUEST:
            return self.of_answers
        if status == HTTPStatus.UNAUTHORIZED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.of_refusals or ANY_ORIGIN
        return self.of_refusals


#: For answers that depend on no cookie.
EVERYBODY: Final = Readers(ANY_ORIGIN, ANY_ORIGIN)


def everybody(request: HttpRequest) -> Readers:
    return EVERYBODY


def json_endpoint(
    *methods: str,
    readers_of: Callable[[HttpRequest], Readers] | None = everybody,
    max_bytes: int | None = None,
) -> Callable[[View], View]:
    """Make a view that clients call: no login, no CSRF token, no transaction around it, errors as JSON.

    Args:
        readers_of: Says, before the view runs, whose scripts may read its answer. ``None``: only this site's own.
        max_bytes: Of a body. ``None``: as Django has it.
    """

    def decorate(view: View) -> View:
        @hidden_from_reports
        def endpoint(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                return preflight(request, methods, is_shared=readers_of is not None)
            readers = EVERYBODY
            try:
                if request.method not in methods:
                    raise WrongMethod
                _check_length(request, max_bytes)
                read_body(request)
                if readers_of is not None:
                    readers = readers_of(request)
                response = view(request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - Django would answer HTML, which no client here can read.
                response = failure_response(error)
            if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                response.headers["Allow"] = ", ".join(methods)
            if readers_of is not None:
                if readers_of is not everybody:
                    patch_vary_headers(response, ["Origin"])
                if origin := readers.of(response.status_code):
                    allow_origin(response, origin)
            return response

        return login_not_required(csrf_exempt(outside_transactions(endpoint)))

    return decorate


def exists_where(is_served: Callable[[], bool]) -> Callable[[View], View]:
    """Let an endpoint be there only where the settings have it. Elsewhere it is as if it were not mounted."""

    def decorate(endpoint: View) -> View:
        # Django and its middleware read marks from the endpoint, which are copied with its name.
        @wraps(endpoint)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            return endpoint(request, *args, **kwargs) if is_served() else failure_response(Http404())

        return guarded

    return decorate
