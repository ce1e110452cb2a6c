"""Check an authorization request: who asks, where the answer goes, what is asked for (RFC 6749 §4.1.1).

Two kinds of failure. Before client and redirect URI are known good there is only a page; after that every
error goes to the client's redirect URI. This module writes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from oauthlib import oauth2

from django_lazyauth.clients.redirects import redirect_uri_allowed
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.tokens.logout_token import read_hint
from django_lazyauth.tokens.resources import are_sound_resources
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.scopes import narrow
from django_lazyauth.toolkit.server import LazyAuthCore

#: S256 of anything is 32 octets, 43 characters of base64url (RFC 7636 §4.2).
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
PROMPTS = frozenset({"none", "login", "consent", "select_account", "create"})
#: Django redirects to no URL of more than 16 KiB; what goes back to the client is hardly longer than what came.
MAX_QUERY_LENGTH = 15 * 1024
MAX_LENGTHS = {
    "client_id": 255,
    "redirect_uri": 2048,
    "scope": 4096,
    "state": 4096,
    "nonce": 255,
    "code_challenge": 128,
    "prompt": 64,
    "login_hint": 256,
    "ui_locales": 128,
    "max_age": 9,
}
#: Without these known good there is nowhere safe to send an error.
FATAL_PARAMETERS = ("client_id", "redirect_uri")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that passed every check."""

    client: Any
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    nonce: str
    code_challenge: str
    resources: tuple[str, ...] = ()
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    ui_locales: str = ""
    subject_hint: str | None = None


class AuthorizationRefused(LazyAuthError):
    """The request cannot be served.

    Attributes:
        error: The code of the RFC that registers it.
        redirect_uri: Where the error goes; ``None`` when only a page may show it.
        state: The client's, echoed with the error.
    """

    def __init__(
        self, error: str, description: str, *, redirect_uri: str | None = None, state: str = ""
    ) -> None:
        self.error = error
        self.description = description
        self.redirect_uri = redirect_uri
        self.state = state
        super().__init__(error)


def validate_authorization(http_request: HttpRequest) -> AuthorizationRequest:
    """Return the checked request of a GET to the authorization endpoint.

    Raises:
        AuthorizationRefused: It cannot be served; says where the error may go.
    """
    parameters = http_request.GET
    _check_addressing(http_request)
    core = LazyAuthCore()
    try:
        scopes, info = core.server.validate_authorization_request(_uri_of(http_request))
    except oauth2.OAuth2Error as error:
        raise _refusal(http_request, error) from None
    redirect_uri = info["redirect_uri"]
    if not redirect_uri_allowed(info["request"].client, redirect_uri):
        # oauthlib does not look at the one that stands in for a missing parameter.
        raise AuthorizationRefused("invalid_request", "The registered redirect URI cannot be used.")
    _check_values(http_request, redirect_uri)
    return AuthorizationRequest(
        client=info["request"].client,
        redirect_uri=redirect_uri,
        scopes=tuple(dict.fromkeys(narrow(info["request"].client, scopes))),
        state=parameters.get("state", ""),
        nonce=parameters.get("nonce", ""),
        code_challenge=parameters["code_challenge"],
        resources=tuple(dict.fromkeys(parameters.getlist("resource"))),
        prompts=frozenset(parameters.get("prompt", "").split()),
        max_age=int(parameters["max_age"]) if parameters.get("max_age") else None,
        login_hint=parameters.get("login_hint", ""),
        ui_locales=parameters.get("ui_locales", ""),
        subject_hint=_subject_hint(parameters.get("id_token_hint", "")),
    )


def _uri_of(http_request: HttpRequest) -> str:
    """Return the request's URI for oauthlib: a parameter without a value counts as omitted (RFC 6749 §3.1)."""
    lists = http_request.GET.lists()
    return f"{http_request.path}?{urlencode([(name, value) for name, values in lists for value in values if value])}"


def _refusal(http_request: HttpRequest, error: oauth2.OAuth2Error) -> AuthorizationRefused:
    """Return what to say of an error of oauthlib: to the client where its redirect URI is known good.

    Raises:
        AuthorizationRefused: A parameter that oauthlib stumbled over is one that we have a better word for.
    """
    description = error.description or ""
    _, redirect_uri = _addressee(http_request)
    if redirect_uri is None:
        return AuthorizationRefused(error.error, description)
    _check_values(http_request, redirect_uri)
    if isinstance(error, oauth2.FatalClientError):
        return AuthorizationRefused(error.error, description)
    state = http_request.GET.get("state", "")
    return AuthorizationRefused(error.error, description, redirect_uri=redirect_uri, state=state)


def _subject_hint(token: str) -> str | None:
    """Return who the client thinks it is asking about; an unreadable hint names nobody."""
    if not token:
        return None
    hint = read_hint(token)
    return hint.subject if hint else ""


def _check_addressing(http_request: HttpRequest) -> None:
    """Refuse what leaves no safe redirect URI; the error can only be a page."""
    parameters = http_request.GET
    sent = len(http_request.META.get("QUERY_STRING", ""))
    # Raw octets of UTF-8 come back percent-encoded, three times as long.
    if sent > MAX_QUERY_LENGTH or len(_uri_of(http_request)) > MAX_QUERY_LENGTH:
        raise AuthorizationRefused("invalid_request", "The request is too long.")
    for name in FATAL_PARAMETERS:
        values = parameters.getlist(name)
        if len(values) > 1:
            raise AuthorizationRefused("invalid_request", f"Duplicate {name} parameter.")
        if values and (has_bad_characters(values[0]) or len(values[0]) > MAX_LENGTHS[name]):
            raise AuthorizationRefused("invalid_request", f"Invalid {name} parameter value.")


def _addressee(http_request: HttpRequest) -> tuple[Any, str | None]:
    """Return client and redirect URI of a request that failed later checks; ``None`` where not known good."""
    client = clients.find_client(http_request.GET.get("client_id", ""))
    if client is None:
        return None, None
    registered = client.redirect_uris.split()
    redirect_uri = http_request.GET.get("redirect_uri") or (registered[0] if len(registered) == 1 else None)
    if redirect_uri is None or not redirect_uri_allowed(client, redirect_uri):
        return client, None
    return client, redirect_uri


def _check_values(http_request: HttpRequest, redirect_uri: str) -> None:
    """Refuse parameters that are repeated, malformed or not served; the error goes to the client."""
    parameters = http_request.GET
    found = (
        _malformed(parameters) or _not_served(parameters) or _no_pkce(parameters) or _bad_openid(parameters)
    )
    if found:
        error, description = found
        states = parameters.getlist("state")
        state = states[0] if len(states) == 1 and _is_sound("state", states[0]) else ""
        raise AuthorizationRefused(error, description, redirect_uri=redirect_uri, state=state)


#: An error code and its description, or nothing found.
Finding = tuple[str, str] | None


def _malformed(parameters: QueryDict) -> Finding:
    for name, values in parameters.lists():
        if name != "resource" and len(values) > 1:
            return "invalid_request", f"Duplicate {_printable(name)} parameter."
        if any(not _is_sound(name, value) for value in values):
            return "invalid_request", f"Invalid {_printable(name)} parameter value."
    if not are_sound_resources(parameters.getlist("resource")):
        return "invalid_target", "A resource indicator must be an absolute URI with a host (RFC 8707)."
    return None


def _not_served(parameters: QueryDict) -> Finding:
    for name in ("request", "request_uri", "registration"):
        if parameters.get(name):
            return f"{name}_not_supported", f"The {name} parameter is not supported."
    if not parameters.get("response_type"):
        return "invalid_request", "Missing response_type parameter."
    if parameters["response_type"] != "code":
        return "unsupported_response_type", "response_type must be code."
    if parameters.get("response_mode") not in (None, "", "query"):
        return "invalid_request", "Only response_mode=query is supported."
    return None


def _no_pkce(parameters: QueryDict) -> Finding:
    if parameters.get("code_challenge_method") != "S256":
        return "invalid_request", "PKCE with code_challenge_method=S256 is required."
    if not S256_CHALLENGE.match(parameters.get("code_challenge", "")):
        return "invalid_request", "code_challenge must be 43 characters of base64url (RFC 7636)."
    return None


def _bad_openid(parameters: QueryDict) -> Finding:
    prompts = set(parameters.get("prompt", "").split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        return "invalid_request", "Invalid prompt parameter value."
    if not re.fullmatch(r"[0-9]*", parameters.get("max_age", "")):
        return "invalid_request", "Invalid max_age parameter value."
    return None


def _is_sound(name: str, value: str) -> bool:
    return not has_bad_characters(value) and len(value) <= MAX_LENGTHS.get(name, MAX_QUERY_LENGTH)


def _printable(name: str) -> str:
    """Return a parameter's name if it is fit for an error description (RFC 6749 §4.1.2.1), else a word."""
    return name if re.fullmatch(r"[a-zA-Z0-9_.-]{1,40}", name) else "request"
