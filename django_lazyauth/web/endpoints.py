"""The endpoints that are called without a person: token, revocation, introspection, userinfo, metadata, readiness."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response

from django_lazyauth.clients.redirects import origin_allowed
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest, TooManyRequests
from django_lazyauth.grants.contract import TokenAnswer, client_id_of
from django_lazyauth.grants.device.device_authorization import answer_device_request
from django_lazyauth.grants.endpoint import answer_token_request
from django_lazyauth.grants.introspection import answer_introspection_request
from django_lazyauth.grants.push import answer_push
from django_lazyauth.grants.resource_metadata import is_resource, protected_resource_metadata
from django_lazyauth.grants.revocation import answer_revocation_request
from django_lazyauth.grants.server_metadata import server_metadata
from django_lazyauth.grants.userinfo import answer_userinfo_request
from django_lazyauth.kit.cors import ANY_ORIGIN
from django_lazyauth.kit.network import network_of
from django_lazyauth.kit.readiness import left_behind, waits_for
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.openid.jose import CONFIGURED_TOKEN_LIMIT
from django_lazyauth.sessions import upstream_logout
from django_lazyauth.tokens.keys import published_key_set
from django_lazyauth.toolkit import clients
from django_lazyauth.upkeep.jobs import sweep_if_overdue

from .json_endpoint import Readers, exists_where, json_endpoint, json_response
from .request_input import read_parameters

#: Seconds that verifiers may keep the key set: as long as an access token lives, so a key that was taken off the
#: list outlives no token by much. A new key is found sooner, by its unknown id.
KEY_SET_MAX_AGE = 600
#: Seconds that clients may keep a metadata document.
METADATA_MAX_AGE = 300


def _own_origins(request: HttpRequest) -> Readers:
    """Scripts of the client's own origins may read its answers. If the site knows no such client, any may read why."""
    origin = request.headers.get("Origin")
    if not origin:
        return Readers()
    client = clients.find_client(client_id_of(request))
    if client is None:
        return Readers(of_refusals=ANY_ORIGIN)
    return Readers(origin, origin) if origin_allowed(client, origin) else Readers()


def _render(answer: TokenAnswer) -> HttpResponse:
    response = json_response(answer.body, status=answer.status, headers=answer.headers)
    response.headers["Content-Type"] = answer.content_type
    return response


@json_endpoint("POST", readers_of=_own_origins)
def token_view(request: HttpRequest) -> HttpResponse:
    """RFC 6749 §3.2."""
    sweep_if_overdue()
    return _render(answer_token_request(request))


@json_endpoint("POST", readers_of=_own_origins, max_bytes=64 * 1024)
def push_view(request: HttpRequest) -> HttpResponse:
    """RFC 9126 §2."""
    return _render(answer_push(request))


def _serves_devices() -> bool:
    return lazyauth_settings.device_flow is not None


@exists_where(_serves_devices)
@json_endpoint("POST", readers_of=_own_origins)
def device_authorization_view(request: HttpRequest) -> HttpResponse:
    """RFC 8628 §3.1."""
    return _render(answer_device_request(request))


@json_endpoint("POST", readers_of=_own_origins)
def revoke_view(request: HttpRequest) -> HttpResponse:
    """RFC 7009 §2."""
    return _render(answer_revocation_request(request))


@json_endpoint("POST", readers_of=_own_origins)
def introspect_view(request: HttpRequest) -> HttpResponse:
    """RFC 7662 §2."""
    return _render(answer_introspection_request(request))


@json_endpoint("GET", "HEAD", "POST")
def userinfo_view(request: HttpRequest) -> HttpResponse:
    """OpenID Connect Core §5.3. Scripts of any origin may read the answer, because they need the token to get it."""
    return _render(answer_userinfo_request(request))


#: Logout tokens from one network to one provider. With the cache down they are taken all the same.
LOGOUT_TOKENS = Throttle("upstream-logout", 60, timedelta(minutes=1), fails_open=True)


@json_endpoint("POST", readers_of=None)
def upstream_logout_view(request: HttpRequest, provider: str) -> HttpResponse:
    """OpenID Connect Back-Channel Logout 1.0 §2.5. A provider calls it, not a browser."""
    if not LOGOUT_TOKENS.take(f"{network_of(request)}\n{provider}"):
        raise TooManyRequests(retry_after=LOGOUT_TOKENS.seconds_left())
    given = read_parameters(request, {"logout_token": CONFIGURED_TOKEN_LIMIT})
    if "logout_token" not in given:
        raise InvalidRequest("logout_token is missing.")
    upstream_logout.take(provider, given["logout_token"])
    return json_response({})


def _public(response: HttpResponse, *, max_age: int) -> HttpResponse:
    response.headers["Cache-Control"] = f"public, max-age={max_age}"
    return response


@json_endpoint("GET", "HEAD")
def jwks_view(request: HttpRequest) -> HttpResponse:
    """RFC 7517 §5. A client that has the current key set gets 304 (RFC 9110 §13)."""
    published = published_key_set()
    whole = HttpResponse(published.body, content_type="application/json")
    whole.headers["ETag"] = published.etag
    response = get_conditional_response(request, etag=published.etag, response=whole)
    return _public(response or whole, max_age=KEY_SET_MAX_AGE)


@json_endpoint("GET", "HEAD")
def server_metadata_view(request: HttpRequest, issuer_path: str = "") -> HttpResponse:
    """RFC 8414 §3 and OpenID Connect Discovery §4. Paths of another issuer are 404."""
    mounted_below = request.path.partition("/.well-known/")[0]
    if (issuer_path or mounted_below).strip("/") != lazyauth_settings.issuer_path:
        raise Http404
    return _public(JsonResponse(server_metadata()), max_age=METADATA_MAX_AGE)


@json_endpoint("GET", "HEAD")
def protected_resource_view(request: HttpRequest, resource_path: str = "") -> HttpResponse:
    """RFC 9728 §3.1. A path that is no resource of this site is 404."""
    if not is_resource(resource_path.strip("/")):
        raise Http404
    document = protected_resource_metadata(resource_path.lstrip("/"))
    return _public(JsonResponse(document), max_age=METADATA_MAX_AGE)


@json_endpoint("GET", "HEAD", readers_of=None)
def health_view(request: HttpRequest) -> HttpResponse:
    """Say that this process answers. Nothing else is asked: a database that is down is no reason to restart it."""
    return json_response({"alive": True})


@json_endpoint("GET", "HEAD", readers_of=None)
def ready_view(request: HttpRequest) -> HttpResponse:
    """Say whether this process may take traffic, for load balancers and orchestrators.

    200, or 503 with what the process waits for: ``legacy_tokens``, ``legacy_identities``, ``database``,
    ``settings``. Once it waits for nothing, ``left_behind`` counts rows that no request and no command reads. Rooms
    register their probes in ``kit/readiness``.
    """
    left: dict[str, int] = {}
    try:
        waits = waits_for()
        left = {} if waits else left_behind()
    except DatabaseError:
        waits = ["database"]
    except ImproperlyConfigured:
        waits = ["settings"]
    status = HTTPStatus.SERVICE_UNAVAILABLE if waits else HTTPStatus.OK
    body: dict[str, Any] = {"ready": not waits, "waits_for": waits}
    return json_response(body | ({"left_behind": left} if left else {}), status=status)
