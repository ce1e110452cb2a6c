"""Decide what ``UpstreamSwap`` does with a request to a tool server: swap the token, refuse, or let it pass.

On a configured path a token of ours never reaches the tool server: a request whose token cannot be swapped is refused.
While the database is down, every request with a token is refused.

Not here: the two server interfaces (:mod:`django_lazyauth.api.asgi`, :mod:`django_lazyauth.api.wsgi`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import SwapSettings, Unswapped, lazyauth_settings
from django_lazyauth.errors import (
    BundleNotFound,
    InvalidDpopProof,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
    TemporarilyUnavailable,
    UseDpopNonce,
)
from django_lazyauth.kit.cors import EXPOSED_HEADERS
from django_lazyauth.resource_server.challenge import challenge
from django_lazyauth.resource_server.proof import credentials_of
from django_lazyauth.tokens.bearer import is_our_token, load_presented

from .fresh_token import fresh_token
from .swap_paths import longest_prefix

AUTHORIZATION = "authorization"
#: What a client presents: a token, and the proof of its key. The proof is for this site, and not for the tool server.
OF_THE_CLIENT = (AUTHORIZATION, "dpop")
#: Seconds after which a client may try again when our own storage is down.
STORAGE_RETRY = 5


@dataclass(frozen=True, slots=True)
class Swapped:
    """Pass the request on with this value in place of the client's ``Authorization``."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """Pass the request on as the client sent it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Send this answer. The request is not passed on."""

    status: HTTPStatus
    error: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps({"error": self.error}).encode()

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        return [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", "no-store"),
            # A script of a client has to see why, and where to get a token. The answer tells nothing else.
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", EXPOSED_HEADERS),
            *self.headers.items(),
        ]


Decision = Swapped | Passed | Refused


class Swap:
    """The settings of both middlewares.

    Args:
        app: The tool server, or the proxy to it.
        paths, header, unswapped: See :class:`~django_lazyauth.conf.SwapSettings`; missing ones come from
            ``LAZYAUTH["UPSTREAM_SWAP"]``, read on each request.
    """

    def __init__(
        self,
        app: Any,
        *,
        paths: Mapping[str, str] | None = None,
        header: str | None = None,
        unswapped: Unswapped | None = None,
    ) -> None:
        self.app = app
        given = {"paths": paths, "header": header, "unswapped": unswapped}
        self._given: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    @property
    def settings(self) -> SwapSettings:
        return replace(lazyauth_settings.upstream_swap, **self._given)


#: The answer to an ambiguous path: an upstream token must not reach another path than the configured one.
AMBIGUOUS = Refused(HTTPStatus.BAD_REQUEST, "invalid_request")


def provider_for(
    path: str, settings: SwapSettings, *, mount: str = "", raw_path: str | None = None
) -> str | None:
    """Return the provider of the longest configured prefix of *path*, ``None`` where there is none.

    Args:
        path, mount, raw_path: See :func:`~django_lazyauth.upstream.swap_paths.longest_prefix`.

    Raises:
        AmbiguousPath: ``//tools/x``, ``/TOOLS/x`` or ``/tools/../x``.
    """
    if not settings.paths:
        return None
    found = longest_prefix(path, settings.paths, mount=mount, raw_path=raw_path)
    return settings.paths[found] if found else None


def is_ours_to_set(name: str, settings: SwapSettings) -> bool:
    """Say whether a client's header of this name is removed when a token is swapped.

    Some servers replace "_" by "-" or the reverse, so both are compared.
    """
    return name.lower().replace("_", "-") in (*OF_THE_CLIENT, settings.header.lower())


def is_the_clients(name: str) -> bool:
    """Say whether a header of this name stays as it was sent where a request is passed on."""
    return name.lower().replace("_", "-") in OF_THE_CLIENT


def is_custom(settings: SwapSettings) -> bool:
    return settings.header.lower() != AUTHORIZATION


@sensitive_variables()
def decide(request: HttpRequest, provider: str, settings: SwapSettings) -> Decision:
    """Decide about a request on a configured path. This may wait for a refresh."""
    if _is_preflight(request):
        return Passed()
    close_old_connections()
    try:
        return _decide(request, provider, settings)
    except SuspiciousOperation:
        return Refused(HTTPStatus.BAD_REQUEST, "invalid_request")
    except (DatabaseError, InterfaceError, TemporarilyUnavailable):
        return _try_later("temporarily_unavailable", STORAGE_RETRY)
    finally:
        close_old_connections()


@sensitive_variables()
def _decide(request: HttpRequest, provider: str, settings: SwapSettings) -> Decision:
    if _is_ambiguous(request.headers.get("Authorization", "")):
        return Refused(HTTPStatus.BAD_REQUEST, "invalid_request")
    credentials = credentials_of(request)
    if credentials is None:
        return _unswapped(settings, challenge(request.path))
    refusal = challenge(request.path, error="invalid_token", is_dpop=credentials.is_dpop)
    try:
        bearer = load_presented(request, credentials).bearer
    except (InvalidDpopProof, UseDpopNonce) as error:
        return _unproved(request, error)
    if bearer is None:
        is_ours = is_our_token(credentials.token)
        return _unauthorized(refusal) if is_ours else _unswapped(settings, refusal)
    session_id = bearer.session_id
    if session_id is None or bearer.user is None:
        # Of a client that acts for itself. It is a token of ours, and nothing stands behind it to swap it for.
        return _unauthorized(refusal)
    try:
        credential = fresh_token(session_id, provider, user_id=bearer.user.pk, client_id=bearer.client.pk)
    except BundleNotFound:
        return Refused(HTTPStatus.FORBIDDEN, "upstream_not_connected")
    except RefreshExpired:
        return _unauthorized(refusal, "upstream_expired")
    except RefreshTransient as error:
        return _try_later("upstream_unavailable", error.retry_after)
    except RefreshUnavailable:
        return Refused(HTTPStatus.CONFLICT, "upstream_not_renewable")
    return Swapped(
        credential.access_token
        if is_custom(settings)
        else f"{credential.token_type} {credential.access_token}"
    )


def _is_preflight(request: HttpRequest) -> bool:
    """Say whether a browser asks what a script may send (CORS). Only the tool server can say, and nobody signs it."""
    asks = {"Origin", "Access-Control-Request-Method"}
    return (
        request.method == "OPTIONS"
        and request.headers.keys() >= asks
        and AUTHORIZATION not in request.headers
    )


#: The schemes that a token is presented with (RFC 6750 §2.1, RFC 9449 §7.1).
SCHEMES = ("bearer", "dpop")


def _is_ambiguous(authorization: str) -> bool:
    """Say whether there is another credential beside a token, or another blank than a space before it.

    Two headers arrive as one, and the tool server may read either of them.
    """
    credentials = authorization.split(",")
    tokens = [one for one in credentials if one.split()[:1] and one.split()[0].lower() in SCHEMES]
    return bool(tokens) and (len(credentials) > 1 or tokens[0].lower().partition(" ")[0] not in SCHEMES)


def _unswapped(settings: SwapSettings, refusal: str) -> Decision:
    return Passed() if settings.unswapped == "pass" else _unauthorized(refusal)


def _unauthorized(refusal: str, error: str = "invalid_token") -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, error, {"WWW-Authenticate": refusal})


def _unproved(request: HttpRequest, error: InvalidDpopProof | UseDpopNonce) -> Refused:
    """A token of ours never leaves without its proof, whatever is done with requests that are not swapped (I24)."""
    refusal = challenge(request.path, error=error.error, is_dpop=True)
    headers = {**error.headers(), "WWW-Authenticate": refusal}
    return Refused(HTTPStatus.UNAUTHORIZED, error.error, headers)


def _try_later(error: str, seconds: int) -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, error, {"Retry-After": str(seconds)})
