"""What ``UpstreamSwap`` does with a request in front of a tool server: swap the token, refuse, or let it pass.

One decision for both server interfaces; :mod:`django_lazyauth.api.asgi` and :mod:`django_lazyauth.api.wsgi` carry
it out. On a configured path a token of ours never reaches the tool server unless it is swapped: what cannot be
swapped is refused, and with the database down everything is.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import SwapSettings, Unswapped, lazyauth_settings
from django_lazyauth.errors import (
    BundleNotFound,
    LazyAuthError,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
)
from django_lazyauth.resource_server.challenge import challenge
from django_lazyauth.tokens.bearer import has_bearer, is_our_token, load_bearer

from .fresh_token import fresh_token

AUTHORIZATION = "authorization"
#: Seconds after which a client may try again when our own storage is down.
STORAGE_RETRY = 5


@dataclass(frozen=True, slots=True)
class Swapped:
    """Go on with this header in the place of the client's ``Authorization``."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """Go on with what the client sent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer this, and do not go on."""

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
            *self.headers.items(),
        ]


Decision = Swapped | Passed | Refused


class Swap:
    """What the two middlewares share: their settings, and the decision.

    Args:
        app: The tool server, or the proxy to it.
        paths, header, unswapped: See :class:`~django_lazyauth.conf.SwapSettings`; what is not given comes from
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
        self._given = {name: value for name, value in given.items() if value is not None}

    @property
    def settings(self) -> SwapSettings:
        base = lazyauth_settings.upstream_swap
        values: dict[str, Any] = {name: getattr(base, name) for name in SwapSettings.__slots__}
        return SwapSettings(**values | self._given)


class AmbiguousPath(LazyAuthError):
    """With its slashes and dots resolved the path leads elsewhere: what is behind us may read it either way."""


#: The answer to such a path: an upstream token must not reach an address that was not meant.
AMBIGUOUS = Refused(HTTPStatus.BAD_REQUEST, "invalid_request")


def provider_for(path: str, settings: SwapSettings) -> str | None:
    """Return the provider of the longest configured prefix of *path*, ``None`` where there is none.

    Raises:
        AmbiguousPath: ``//tools/x`` or ``/tools/../x``.
    """
    found = _longest(path, settings.paths)
    if found != _longest(posixpath.normpath("/" + path.lstrip("/")), settings.paths):
        raise AmbiguousPath
    return settings.paths[found] if found else None


def _longest(path: str, prefixes: Mapping[str, str]) -> str | None:
    below = f"{path.rstrip('/')}/"
    matching = [prefix for prefix in prefixes if below.startswith(f"{prefix.rstrip('/')}/")]
    return max(matching, key=len, default=None)


def is_ours_to_set(name: str, settings: SwapSettings) -> bool:
    """Say whether a client's header of this name must not reach the tool server beside a swapped token.

    Servers turn "_" and "-" into each other, so both count.
    """
    return name.lower().replace("_", "-") in (AUTHORIZATION, settings.header.lower())


def is_custom(settings: SwapSettings) -> bool:
    return settings.header.lower() != AUTHORIZATION


@sensitive_variables()
def decide(request: HttpRequest, provider: str, settings: SwapSettings) -> Decision:
    """Decide about a request on a configured path. It may take as long as a refresh does."""
    close_old_connections()
    try:
        return _decide(request, provider, settings)
    except SuspiciousOperation:
        return Refused(HTTPStatus.BAD_REQUEST, "invalid_request")
    except (DatabaseError, InterfaceError):
        return _try_later("temporarily_unavailable", STORAGE_RETRY)
    finally:
        close_old_connections()


@sensitive_variables()
def _decide(request: HttpRequest, provider: str, settings: SwapSettings) -> Decision:
    if _is_ambiguous(request.headers.get("Authorization", "")):
        return Refused(HTTPStatus.BAD_REQUEST, "invalid_request")
    if not has_bearer(request):
        return _unswapped(settings, challenge(request.path))
    refusal = challenge(request.path, error="invalid_token")
    bearer = load_bearer(request)
    if bearer is None:
        return _unauthorized(refusal) if is_our_token(request) else _unswapped(settings, refusal)
    session_id = bearer.session_id
    if session_id is None or bearer.user is None:
        return _unswapped(settings, refusal)
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


def _is_ambiguous(authorization: str) -> bool:
    """Say whether a bearer stands beside another credential, or after another blank than a space.

    Two headers arrive as one: which of them the tool server would read is anybody's guess.
    """
    credentials = authorization.split(",")
    bearers = [one for one in credentials if one.split()[:1] and one.split()[0].lower() == "bearer"]
    return bool(bearers) and (len(credentials) > 1 or bearers[0].lower().partition(" ")[0] != "bearer")


def _unswapped(settings: SwapSettings, refusal: str) -> Decision:
    return Passed() if settings.unswapped == "pass" else _unauthorized(refusal)


def _unauthorized(refusal: str, error: str = "invalid_token") -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, error, {"WWW-Authenticate": refusal})


def _try_later(error: str, seconds: int) -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, error, {"Retry-After": str(seconds)})
