"""Check an authorization request: who asks, where the answer goes, what is asked for (RFC 6749 §4.1.1).

There are two kinds of failure. Until client and redirect URI are known to be good, only a page can show the error.
From then on every error goes to the client's redirect URI (RFC 6749 §4.1.2.1).

Not here: what the person said, and anything that writes. This module only reads.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime

from django.http import QueryDict

from django_lazyauth.clients.redirects import can_be_posted_to, redirect_uri_allowed
from django_lazyauth.conf import is_fapi2
from django_lazyauth.errors import DETAILS_REFUSED, LazyAuthError, sayable
from django_lazyauth.kit.http import without_empty
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.jose import TokenRejected, check_clean
from django_lazyauth.openid.resource_indicators import fault_of_resources
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_policies import (
    default_acr_values,
    default_max_age,
    must_push,
    must_sign_requests,
)
from django_lazyauth.toolkit.scopes import default_scopes, narrow, refusal_of, requested_scopes
from django_lazyauth.toolkit.settings import requires_pushes

from .wanted import (
    ANY_ACR,
    WantedAcr,
    fault_of_claims,
    read_wanted_acr,
    read_way_hint,
    user_of_claims,
    user_of_hint,
    wanted_user,
)

#: S256 of anything is 32 octets, 43 characters of base64url (RFC 7636 §4.2).
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
#: How the answer comes back (OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode).
FORM_POST = "form_post"
RESPONSE_MODES = ("query", FORM_POST)
PROMPTS = frozenset({"none", "login", "consent", "select_account", "create"})
#: The SHA-256 thumbprint of a key (RFC 9449 §10).
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}\Z")
#: Django redirects to no URL of more than 16 KiB. The answer is hardly longer than the request.
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
    "provider_hint": 255,
    "domain_hint": 255,
    "ui_locales": 128,
    "max_age": 9,
    "acr_values": 1024,
}
#: They say where an error may go. While one of them is bad, an error may go nowhere.
ADDRESSING = ("client_id", "redirect_uri")
#: Every other parameter stands at most once (RFC 6749 §3.1; RFC 8707 §2 lets this one stand often).
REPEATABLE = frozenset({"resource"})
#: Parameters that ask for what is not served, each with an error code of its own (OpenID Connect Core §3.1.2.6).
NOT_SUPPORTED = ("request", "request_uri", "registration")
#: It narrows what is granted, so it must not be ignored, and it is not built (RFC 9396 §5).
AUTHORIZATION_DETAILS = "authorization_details"
#: Of a redirect URI that an operator typed, or that was registered before this package came.
UNSAFE = "cannot be used. It has to be https, http on loopback, or of a scheme that apps may have here."
#: An error code and its description.
Finding = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SingleUse:
    """What a request was handed over in, which is good for one flow: a ``request_uri``, or a signed request.

    Attributes:
        digest: SHA-256 of it.
        until: Until when a page that carries the request may be answered.
    """

    digest: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the parameters of a request came here.

    Attributes:
        is_pushed: From the client itself, at the endpoint for pushed requests (RFC 9126).
        is_signed: In a request object, signed with the client's key (RFC 9101).
        single_use: What they came in; ``None`` where that may be used often.
    """

    is_pushed: bool = False
    is_signed: bool = False
    single_use: SingleUse | None = None


#: In the URL that the browser was sent to.
PLAIN = Arrival()


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that passed every check.

    Attributes:
        wanted_acr: How strongly the person is to sign in.
        subject_hint: The primary key of whom ``claims`` or ``id_token_hint`` names; empty for nobody, ``None`` if none
            was sent.
        way_hint: The provider that the client suggests: a name of ``PROVIDERS``, or ``sso:`` and a domain.
        jkt: Thumbprint of the key that the code is bound to (RFC 9449 §10); empty where it is bound to none.
        single_use: What it was handed over in; ``None`` for a plain request.
        is_answer_posted: The client gets its answer in the body of a form.
    """

    client: clients.Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_challenge: str
    resources: tuple[str, ...] = ()
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    ui_locales: str = ""
    subject_hint: str | None = None
    way_hint: str = ""
    jkt: str = ""
    wanted_acr: WantedAcr = ANY_ACR
    single_use: SingleUse | None = None
    is_answer_posted: bool = False


class AuthorizationRefused(LazyAuthError):
    """The request cannot be served.

    Attributes:
        error: The code of the RFC that registers it.
        redirect_uri: Where the error goes; ``None`` when only a page may show it.
        state: The client's, echoed with the error.
        is_posted: The error goes there in the body of a form.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        redirect_uri: str | None = None,
        state: str = "",
        is_posted: bool = False,
    ) -> None:
        self.error = error
        self.description = sayable(description)
        self.redirect_uri = redirect_uri
        self.state = state
        self.is_posted = is_posted
        super().__init__(error)


def validate_authorization(parameters: QueryDict, arrival: Arrival = PLAIN) -> AuthorizationRequest:
    """Return the checked request of parameters that came so. One without a value counts as omitted (RFC 6749 §3.1).

    Raises:
        AuthorizationRefused: The request cannot be served. The error says where it may go.
    """
    parameters = without_empty(parameters)
    _check_addressing(parameters)
    client = _client_of(parameters)
    redirect_uri = _redirect_uri_of(parameters, client)
    scopes = _scopes_of(parameters, client)
    finding = _first_finding(parameters, arrival, client, redirect_uri, scopes)
    if finding is not None:
        raise AuthorizationRefused(
            *finding,
            redirect_uri=redirect_uri,
            state=_state_of(parameters),
            is_posted=_is_posted(parameters, redirect_uri),
        )
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        scopes=tuple(dict.fromkeys(narrow(client, scopes))),
        state=parameters.get("state", ""),
        nonce=parameters.get("nonce", ""),
        code_challenge=parameters.get("code_challenge", ""),
        resources=tuple(dict.fromkeys(parameters.getlist("resource"))),
        prompts=frozenset(parameters.get("prompt", "").split()),
        max_age=_max_age_of(parameters, client),
        login_hint=parameters.get("login_hint", ""),
        ui_locales=parameters.get("ui_locales", ""),
        subject_hint=wanted_user(parameters, client),
        way_hint=read_way_hint(parameters),
        jkt=parameters.get("dpop_jkt", ""),
        wanted_acr=read_wanted_acr(parameters, default_acr_values(client)),
        single_use=arrival.single_use,
        is_answer_posted=_is_posted(parameters, redirect_uri),
    )


def _first_finding(
    parameters: QueryDict, arrival: Arrival, client: clients.Client, redirect_uri: str, scopes: list[str]
) -> Finding | None:
    return (
        _malformed(parameters)
        or _arrived_wrongly(client, arrival)
        or _not_supported(parameters)
        or _not_served(parameters, redirect_uri)
        or _no_pkce(parameters)
        or _bad_thumbprint(parameters)
        or _bad_openid(parameters)
        or _not_for_this_client(client, scopes)
        or _bad_claims(parameters, client)
    )


# -- who asks, and where the answer goes -----------------------------------------------------------------


def _check_addressing(parameters: QueryDict) -> None:
    if len(parameters.urlencode()) > MAX_QUERY_LENGTH:
        raise AuthorizationRefused("invalid_request", "The request is too long.")
    for name in ADDRESSING:
        values = parameters.getlist(name)
        if len(values) > 1:
            raise AuthorizationRefused("invalid_request", f"Duplicate {name} parameter.")
        if values and not _is_sound(name, values[0]):
            raise AuthorizationRefused("invalid_request", f"Invalid {name} parameter value.")


def _client_of(parameters: QueryDict) -> clients.Client:
    client_id = parameters.get("client_id", "")
    if not client_id:
        raise AuthorizationRefused("invalid_request", "Missing client_id parameter.")
    client = clients.find_client(client_id)
    if client is None:
        raise AuthorizationRefused("invalid_request", "Invalid client_id parameter value.")
    return client


def _redirect_uri_of(parameters: QueryDict, client: clients.Client) -> str:
    """Return the redirect URI of the request, or the only registered one where it names none (RFC 6749 §3.1.2.3).

    FAPI 2.0 Security Profile §5.3.2.2 wants it named. A signed request holds it, and misses it where none is read.
    """
    named: str = parameters.get("redirect_uri", "")
    registered: list[str] = client.redirect_uris.split()
    if not named and (len(registered) != 1 or is_fapi2()):
        error, why = _not_supported(parameters) or ("invalid_request", "Missing redirect URI.")
        raise AuthorizationRefused(error, why)
    redirect_uri = named or registered[0]
    if not redirect_uri_allowed(client, redirect_uri):
        is_known = redirect_uri in registered
        reason = f"The registered redirect URI {UNSAFE}" if is_known else "Mismatching redirect URI."
        raise AuthorizationRefused("invalid_request", reason)
    return redirect_uri


# -- what is asked for: these errors go to the client ----------------------------------------------------


def _malformed(parameters: QueryDict) -> Finding | None:
    for name, values in parameters.lists():
        if name not in REPEATABLE and len(values) > 1:
            return "invalid_request", f"Duplicate {_printable(name)} parameter."
        if any(not _is_sound(name, value) for value in values):
            return "invalid_request", f"Invalid {_printable(name)} parameter value."
    fault = fault_of_resources(parameters.getlist("resource"))
    return ("invalid_target", fault) if fault else None


def _arrived_wrongly(client: clients.Client, arrival: Arrival) -> Finding | None:
    """Refuse a request that came in a weaker way than the client or this site wants (RFC 9126 §5, RFC 9101 §10.5)."""
    wants_push = requires_pushes() or must_push(client)
    # Our own account page begins a sign-in by a link, and its codes are redeemed by nobody.
    if not arrival.is_pushed and wants_push and client.client_id != clients.ACCOUNT_CLIENT_ID:
        return "invalid_request", "This request has to be pushed (RFC 9126)."
    if not arrival.is_signed and must_sign_requests(client):
        return "invalid_request", "This client has to sign its requests (RFC 9101)."
    return None


def _not_supported(parameters: QueryDict) -> Finding | None:
    named = next((name for name in NOT_SUPPORTED if parameters.get(name)), "")
    return (f"{named}_not_supported", f"The {named} parameter is not supported.") if named else None


def _not_served(parameters: QueryDict, redirect_uri: str) -> Finding | None:
    if parameters.get(AUTHORIZATION_DETAILS):
        return "invalid_authorization_details", DETAILS_REFUSED
    if not parameters.get("response_type"):
        return "invalid_request", "Missing response_type parameter."
    if parameters["response_type"] != "code":
        return "unsupported_response_type", "response_type must be code."
    if parameters.get("response_mode", "query") not in RESPONSE_MODES:
        return "invalid_request", "response_mode must be query or form_post."
    if parameters.get("response_mode") == FORM_POST and not can_be_posted_to(redirect_uri):
        return (
            "invalid_request",
            "response_mode=form_post needs a redirect URI with http or https and a host name.",
        )
    return None


def _no_pkce(parameters: QueryDict) -> Finding | None:
    if parameters.get("code_challenge_method") != "S256":
        return "invalid_request", "PKCE with code_challenge_method=S256 is required."
    if not S256_CHALLENGE.match(parameters.get("code_challenge", "")):
        return "invalid_request", "code_challenge must be 43 characters of base64url (RFC 7636)."
    return None


def _bad_thumbprint(parameters: QueryDict) -> Finding | None:
    thumbprint = parameters.get("dpop_jkt")
    if thumbprint and not THUMBPRINT.match(thumbprint):
        return "invalid_request", "dpop_jkt must be 43 characters of base64url (RFC 9449)."
    return None


def _bad_openid(parameters: QueryDict) -> Finding | None:
    prompts = set(parameters.get("prompt", "").split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        return "invalid_request", "Invalid prompt parameter value."
    if not re.fullmatch(r"[0-9]*", parameters.get("max_age", "")):
        return "invalid_request", "Invalid max_age parameter value."
    return None


def _not_for_this_client(client: clients.Client, scopes: list[str]) -> Finding | None:
    if not clients.may_ask_for_codes(client):
        return "unauthorized_client", "This client is not registered for authorization codes."
    if refusal := refusal_of(client, scopes):
        return "invalid_scope", refusal
    return None


def _bad_claims(parameters: QueryDict, client: clients.Client) -> Finding | None:
    """Refuse a ``claims`` parameter that is no JSON, is too large, or that no database can hold any part of (I18).

    Without ``openid`` one that is no JSON is none of ours (OpenID Connect Core §5.5). Otherwise whom it names counts.
    """
    claims = parameters.get("claims", "")
    try:
        check_clean(json.loads(claims) if claims else None)
        if claims and (fault := fault_of_claims(claims)):
            return "invalid_request", fault
    except (ValueError, RecursionError):
        if "openid" in parameters.get("scope", "").split():
            return "invalid_request", "Malformed claims parameter"
    except TokenRejected:
        return "invalid_request", "The claims parameter holds characters or numbers that it cannot hold."
    wanted, hinted = user_of_claims(claims, client), user_of_hint(parameters, client)
    if wanted is not None and hinted and wanted != hinted:
        return "login_required", "The claims parameter and id_token_hint name two persons."
    return None


def _scopes_of(parameters: QueryDict, client: clients.Client) -> list[str]:
    scope: str = parameters.get("scope", "")
    return requested_scopes(scope) if scope else default_scopes(client)


def _max_age_of(parameters: QueryDict, client: clients.Client) -> int | None:
    max_age = parameters.get("max_age")
    return int(max_age) if max_age else default_max_age(client)


def _is_posted(parameters: QueryDict, redirect_uri: str) -> bool:
    return parameters.getlist("response_mode") == [FORM_POST] and can_be_posted_to(redirect_uri)


def _state_of(parameters: QueryDict) -> str:
    """Return the state to send back with an error; empty if it is itself what is wrong."""
    states: list[str] = parameters.getlist("state")
    return states[0] if len(states) == 1 and _is_sound("state", states[0]) else ""


def _is_sound(name: str, value: str) -> bool:
    return not has_bad_characters(value) and len(value) <= MAX_LENGTHS.get(name, MAX_QUERY_LENGTH)


def _printable(name: str) -> str:
    """Return a parameter's name if an error description may hold it (RFC 6749 §4.1.2.1), else a word for it."""
    return name if re.fullmatch(r"[a-zA-Z0-9_.-]{1,40}", name) else "request"
