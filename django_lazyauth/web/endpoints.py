"""The endpoints that clients call without a person: token, revocation, introspection, userinfo, metadata."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from django_lazyauth.clients.redirects import origin_allowed
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.grants import server_metadata
from django_lazyauth.grants.contract import TokenAnswer, client_id_of
from django_lazyauth.grants.endpoint import answer_token_request
from django_lazyauth.grants.introspection import answer_introspection_request
from django_lazyauth.grants.revocation import answer_revocation_request
from django_lazyauth.grants.userinfo import answer_userinfo_request
from django_lazyauth.tokens.keys import published_key_set
from django_lazyauth.toolkit import clients, token_endpoint

from .parameters import UNREADABLE, read_as_utf8
from .transactions import outside_transactions

View = Callable[..., HttpResponse]
#: Seconds that verifiers may keep the key set: as long as an access token lives, so a key that was taken off the
#: list outlives no token by much. A new key is found sooner, by its unknown id.
KEY_SET_MAX_AGE = 600
#: What a script may read besides the body: without the challenge it cannot tell why it was refused (RFC 6750 §3).
EXPOSED = "WWW-Authenticate, Retry-After"
SECRETS = ("code", "code_verifier", "client_secret", "refresh_token", "token")


def client_endpoint(*methods: str) -> Callable[[View], View]:
    """Make a view that clients call: no CSRF, no transaction around it, preflights answered (Fetch, CORS)."""

    def decorate(view: View) -> View:
        @sensitive_post_parameters(*SECRETS)
        def endpoint(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                return _preflight(request, methods)
            if request.method not in methods:
                return _wrong_method(methods)
            try:
                read_as_utf8(request)
                return _with_origin(request, view(request, *args, **kwargs))
            except UNREADABLE:
                return _render(TokenAnswer.of_error(InvalidRequest("The body cannot be read.")))

        return login_not_required(csrf_exempt(outside_transactions(endpoint)))

    return decorate


def _wrong_method(methods: tuple[str, ...]) -> HttpResponse:
    """Refuse in JSON, as every error here (RFC 6749 §5.2, RFC 9110 §15.5.6)."""
    error = InvalidRequest("This endpoint does not take this method.")
    body = TokenAnswer.of_error(error).body
    return _render(TokenAnswer(body, int(HTTPStatus.METHOD_NOT_ALLOWED), {"Allow": ", ".join(methods)}))


def _preflight(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    """Let a browser send the request; whether its script may read the answer is decided with the answer."""
    response = HttpResponse(status=204)
    origin = request.headers.get("Origin")
    if origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, MCP-Protocol-Version"
        response.headers["Access-Control-Max-Age"] = "600"
        response.headers["Vary"] = "Origin"
    return response


def _with_origin(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the script of a registered client's own origin read the answer; never with credentials."""
    origin = request.headers.get("Origin")
    if not origin or "Access-Control-Allow-Origin" in response.headers:
        return response
    response.headers["Vary"] = "Origin"
    try:
        client = clients.find_client(client_id_of(request))
    except (DatabaseError, InterfaceError):
        # What was answered is answered, and may have been written.
        return response
    if client is not None and origin_allowed(client, origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
    return response


def _render(answer: TokenAnswer | token_endpoint.TokenAnswer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    for name, value in answer.headers.items():
        response.headers[name] = value
    response.headers["Content-Type"] = "application/json"
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


@client_endpoint("POST")
def token_view(request: HttpRequest) -> HttpResponse:
    """RFC 6749 §3.2."""
    return _render(answer_token_request(request))


@client_endpoint("POST")
def revoke_view(request: HttpRequest) -> HttpResponse:
    """RFC 7009 §2."""
    return _render(answer_revocation_request(request))


@client_endpoint("POST")
def introspect_view(request: HttpRequest) -> HttpResponse:
    """RFC 7662 §2."""
    return _render(answer_introspection_request(request))


@client_endpoint("GET", "POST")
def userinfo_view(request: HttpRequest) -> HttpResponse:
    """OpenID Connect Core §5.3. The token is in the header, so any origin may be told: it cannot be forged."""
    response = _render(answer_userinfo_request(request))
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    return response


def _public(response: HttpResponse, *, max_age: int) -> HttpResponse:
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={max_age}"
    return response


@client_endpoint("GET", "HEAD")
def jwks_view(request: HttpRequest) -> HttpResponse:
    """RFC 7517 §5; who has it already gets 304 (RFC 9110 §13)."""
    published = published_key_set()
    whole = HttpResponse(published.body, content_type="application/json")
    whole.headers["ETag"] = published.etag
    response = get_conditional_response(request, etag=published.etag, response=whole)
    return _public(response or whole, max_age=KEY_SET_MAX_AGE)


@client_endpoint("GET", "HEAD")
def server_metadata_view(request: HttpRequest, issuer_path: str = "") -> HttpResponse:
    """RFC 8414 §3 and OpenID Connect Discovery §4: at the places of our own issuer, and nowhere else."""
    mounted_below = request.path.partition("/.well-known/")[0]
    if (issuer_path or mounted_below).strip("/") != lazyauth_settings.issuer_path:
        raise Http404
    return _public(JsonResponse(server_metadata.server_metadata()), max_age=300)


@client_endpoint("GET", "HEAD")
def protected_resource_view(request: HttpRequest, resource_path: str = "") -> HttpResponse:
    """RFC 9728 §3.1: of what is a resource here, and of nothing else."""
    if not server_metadata.is_resource(resource_path.strip("/")):
        raise Http404
    document = server_metadata.protected_resource_metadata(resource_path.lstrip("/"))
    return _public(JsonResponse(document), max_age=300)
