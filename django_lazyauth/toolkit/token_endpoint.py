"""One request to the token endpoint: checked, answered by oauthlib, and handed back as plain data."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote_plus
from uuid import UUID

from django.http import HttpRequest
from oauthlib.oauth2.rfc6749 import errors

from django_lazyauth.errors import InvalidClient, InvalidRequest, OAuthError
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.models import PendingAuthorization

from .moved import dot_module
from .refresh_grant import Together
from .server import GRANT_TYPES, LazyAuthCore, OnValidated

app_authorized = dot_module("signals", moves_to="core").app_authorized

MAX_PARAMETER_LENGTH = 8 * 1024
REALM = 'Basic realm="token"'


class UnsupportedGrantType(OAuthError):
    """The grant is unknown or off here (RFC 6749 §5.2)."""

    error = "unsupported_grant_type"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Body, status and headers of an answer; always JSON and never cached (RFC 6749 §5.1)."""

    body: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_error(cls, error: OAuthError) -> TokenAnswer:
        # A client that failed to authenticate is asked for Basic (RFC 6749 §5.2).
        headers = {"WWW-Authenticate": REALM} if error.status == HTTPStatus.UNAUTHORIZED else {}
        return cls(json.dumps(error.as_dict()), int(error.status), headers)


def refuse_grant(description: str) -> NoReturn:
    """Refuse the code from inside oauthlib, so that it answers ``invalid_grant``."""
    raise errors.InvalidGrantError(description=description)


def check_form(http_request: HttpRequest, *, repeatable: frozenset[str] = frozenset({"resource"})) -> None:
    """Check what a form may hold at all, before oauthlib or the database sees it.

    Raises:
        InvalidRequest: Repeated, oversized or unstorable parameters, or parameters in the URL.
        InvalidClient: Credentials in the header that no client can have.
    """
    if http_request.GET:
        raise InvalidRequest("Parameters belong into the body of the request.")
    if http_request.content_type != "application/x-www-form-urlencoded":
        raise InvalidRequest("The body must be application/x-www-form-urlencoded.")
    for name, values in http_request.POST.lists():
        if len(values) > 1 and name not in repeatable:
            raise InvalidRequest("A parameter is repeated.")
        if has_bad_characters(name) or any(
            has_bad_characters(value) or len(value) > MAX_PARAMETER_LENGTH for value in values
        ):
            raise InvalidRequest("A parameter is too long or holds characters that it cannot hold.")
    _check_credentials(http_request)


def _check_credentials(http_request: HttpRequest) -> None:
    """Refuse what DOT or the database would stumble over: other than base64 of UTF-8, and NUL."""
    try:
        credentials = _basic_credentials(http_request)
    except ValueError:
        raise InvalidClient from None
    if has_bad_characters(unquote_plus(credentials)):
        raise InvalidClient


def _basic_credentials(http_request: HttpRequest) -> str:
    """Return what a Basic header holds, still form-encoded; empty without one (RFC 9110 §11.1).

    Raises:
        ValueError: It is not base64 of UTF-8.
    """
    scheme, _, credentials = http_request.headers.get("Authorization", "").partition(" ")
    return base64.b64decode(credentials).decode() if scheme.lower() == "basic" else ""


def client_id_of(http_request: HttpRequest) -> str:
    """Return the client that a request says it comes from, which nothing proves; empty if it does not say."""
    try:
        in_header = unquote_plus(_basic_credentials(http_request).partition(":")[0])
    except ValueError:
        in_header = ""
    return in_header or str(http_request.POST.get("client_id", ""))


def grant_type_of(http_request: HttpRequest) -> str:
    """Return the grant type of a checked form.

    Raises:
        InvalidRequest: Missing.
        UnsupportedGrantType: Not one of ours.
    """
    grant_type = http_request.POST.get("grant_type", "")
    if not grant_type:
        raise InvalidRequest("Missing grant_type parameter.")
    if grant_type not in GRANT_TYPES:
        raise UnsupportedGrantType
    return grant_type


class TokenRequest:
    """One try at a token request. It keeps what oauthlib learned, for what the flow does afterwards."""

    def __init__(self, http_request: HttpRequest) -> None:
        self.http_request = http_request
        self._core: LazyAuthCore | None = None

    def answer(
        self, *, on_validated: OnValidated | None = None, together: Together = nullcontext
    ) -> TokenAnswer:
        """Let oauthlib validate the request and make tokens.

        Args:
            on_validated: Called if it is a good code, before any token is made.
            together: Opens the transaction in which a refresh token is used.
        """
        self._core = LazyAuthCore(on_validated, together)
        _, headers, body, status = self._core.create_token_response(self.http_request)
        return TokenAnswer(body, status, self._headers(dict(headers or {}), status))

    def _headers(self, headers: dict[str, str], status: int) -> dict[str, str]:
        if status == HTTPStatus.UNAUTHORIZED:
            # oauthlib challenges with Bearer; a client authenticates with Basic (RFC 6749 §5.2).
            headers["WWW-Authenticate"] = REALM
        return headers

    @property
    def pending(self) -> PendingAuthorization | None:
        """The row behind the code, as it stood when it was locked; ``None`` if there is none."""
        return self._core.validator.pending if self._core else None

    def require_pending(self) -> PendingAuthorization:
        pending = self.pending
        if pending is None:
            refuse_grant("")
        return pending

    @property
    def ended_sessions(self) -> set[UUID]:
        """Sessions that this request showed to be compromised."""
        return self._core.validator.ended_sessions if self._core else set()

    def announce(self) -> None:
        """Send DOT's own signal, which hosts may listen to. The tokens stand: a receiver cannot undo them."""
        access_token: Any = self._core.validator.access_token if self._core else None
        if access_token is not None:
            app_authorized.send_robust(sender=TokenRequest, request=self.http_request, token=access_token)
