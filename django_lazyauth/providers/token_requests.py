"""Requests to the token and revocation endpoints of an upstream.

Not here: what an answer says (:mod:`.token_answers`).

No error holds a code, a token, a secret or text of the upstream (I13).
"""

from __future__ import annotations

import base64
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderUnavailable, RefreshExpired, RefreshTransient
from django_lazyauth.kit import fetch
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.published import policy_of
from django_lazyauth.openid.requests.fill import fill_each, fill_url
from django_lazyauth.openid.requests.kept import split_kept, with_kept
from django_lazyauth.openid.requests.keys import Requests
from django_lazyauth.openid.requests.revocation import RevocationRequest
from django_lazyauth.openid.requests.signing import assertion, secret_of
from django_lazyauth.openid.rules import Documents, as_text
from django_lazyauth.vault.tokens import UpstreamBundle, UpstreamTokens

from .base import Json, UnusableAnswer
from .token_answers import error_of, is_token, read_tokens, unusable, with_rfc_names, without_tokens

logger = logging.getLogger("django_lazyauth.upstream")

#: Seconds of a token request in all.
REFRESH_DEADLINE: Final = 10.0

#: The refresh token is expired or revoked (RFC 6749 §5.2). The second code is GitHub's.
REFUSED_GRANTS: Final = frozenset({"invalid_grant", "bad_refresh_token"})
_ERROR_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: This site is not known by what it sent to authenticate (RFC 6749 §5.2).
CLIENT_UNKNOWN: Final = "invalid_client"


class ClientUnknown(ProviderUnavailable):
    """The upstream says that this site could not authenticate. Nothing was spent, unless it is careless."""


#: Codes of a refresh that found no token endpoint.
_NO_ENDPOINT: Final = frozenset(
    {"bad_answer", "broken", "connect", "dns", "http_404", "not_json", "timeout", "tls"}
)


def is_of_no_endpoint(error: ProviderUnavailable | RefreshTransient) -> bool:
    """Say whether there was no answer, 404, a redirect, or no JSON: at this address is no token endpoint."""
    if isinstance(error, RefreshTransient):
        return error.code in _NO_ENDPOINT or error.code.startswith("http_3")
    return error.reason == "unreachable" or (error.reason == "bad_answer" and error.http_status is not None)


@dataclass(frozen=True, slots=True)
class Leg:
    """What came back with the person, and what was kept when they left."""

    code: str = field(repr=False)
    state: str = field(repr=False)
    private: Json = field(repr=False)
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)


@sensitive_variables()
def redeem(
    descriptor: ProviderDescriptor, endpoint: str, leg: Leg
) -> tuple[UpstreamTokens, Mapping[str, Any]]:
    """Exchange a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). The rest of the answer comes with them.

    Raises:
        ProviderUnavailable: ``unreachable``, ``bad_answer``, ``code_refused`` or ``configuration_changed``.
        ClientUnknown: This site could not authenticate.
    """
    redirect_uri = leg.private["redirect_uri"]
    fields = {"grant_type": "authorization_code", "code": leg.code, "redirect_uri": redirect_uri}
    if descriptor.requests.pkce != "none":
        if not leg.private.get("code_verifier"):
            raise ProviderUnavailable("configuration_changed")
        fields["code_verifier"] = leg.private["code_verifier"]
    filled = {"client_id": descriptor.client_id, "redirect_uri": redirect_uri, "state": leg.state}
    further = fill_each(descriptor.requests.token_params, filled, Documents(answer=leg.kept))
    fields = {**further, **fields}
    now = timezone.now()
    try:
        response = post_grant(descriptor, endpoint, fields)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", stage="token", debug=error.reason) from None
    document = _answer_to_code(descriptor.requests, response)
    read = with_rfc_names(document, descriptor.requests)
    tokens = read_tokens(read, now=now, requested_scope=" ".join(descriptor.scopes))
    return tokens, without_tokens(document, descriptor.requests)


@sensitive_variables()
def _answer_to_code(requests: Requests, response: fetch.Response) -> Mapping[str, Any]:
    """Return the answer to a code unless it is an error. Raises as :func:`redeem`."""
    status = response.status
    if location := response.location():
        raise ProviderUnavailable(
            "bad_answer", stage="token", http_status=status, debug=f"a redirect to {location}"
        )
    try:
        document = response.json_object()
    except fetch.FetchError:
        raise ProviderUnavailable("bad_answer", stage="token", http_status=status) from None
    refusal = error_of(document, requests.answer_error["token"], requests)
    if refusal == CLIENT_UNKNOWN:
        raise ClientUnknown("misconfigured", stage="token", upstream_error=refusal, http_status=status)
    if refusal is not None:
        # Some upstreams send an error with status 200.
        raise ProviderUnavailable("code_refused", stage="token", upstream_error=refusal, http_status=status)
    if not response.ok:
        raise ProviderUnavailable("bad_answer", stage="token", http_status=status)
    return document


@sensitive_variables()
def renew(
    descriptor: ProviderDescriptor, endpoint: str, bundle: UpstreamBundle, *, deadline: float
) -> UpstreamTokens | UnusableAnswer:
    """Exchange the refresh token of *bundle* for new tokens (RFC 6749 §6).

    An answer of success is judged only after it was read what it says of the refresh token.

    Raises:
        RefreshExpired: ``invalid_grant``, with any status.
        RefreshTransient: Any other answer, or none; ``code`` is the error code of the upstream if it sent one.
        ProviderUnavailable: ``misconfigured``.
    """
    refresh_token, kept = split_kept(bundle.refresh_token)
    filled = {"client_id": descriptor.client_id, "state": secrets.token_urlsafe(32)}
    fields = {
        **fill_each(descriptor.requests.refresh_params, {**kept, **filled}, Documents()),
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
    }
    now = timezone.now()
    try:
        response = post_grant(descriptor, endpoint, fields, deadline=deadline)
    except fetch.FetchError as error:
        raise RefreshTransient(descriptor.name, error.reason) from None
    answer = _accepted(descriptor, response)
    document = with_rfc_names(answer, descriptor.requests)
    if not is_token(document["id_token"]):
        # The one of the sign-in stays.
        document["id_token"] = None
    renewed: UpstreamTokens | UnusableAnswer
    try:
        renewed = read_tokens(document, now=now, requested_scope=bundle.scope)
    except ProviderUnavailable as error:
        renewed = unusable(document, replace(bundle, refresh_token=refresh_token), error.reason, now)
    return replace(renewed, refresh_token=with_kept(renewed.refresh_token, kept))


@sensitive_variables()
def _accepted(descriptor: ProviderDescriptor, response: fetch.Response) -> Mapping[str, Any]:
    """Return the answer to a refresh unless it is an error. Raises as :func:`renew`."""
    if location := response.location():
        logger.warning(
            "%s: its token endpoint redirects to %s, which is not followed", descriptor.name, location
        )
        raise RefreshTransient(descriptor.name, _status_code(response))
    try:
        document = response.json_object()
    except fetch.FetchError:
        raise RefreshTransient(descriptor.name, _status_code(response)) from None
    requests = descriptor.requests
    error = error_of(document, requests.answer_error["token"], requests)
    if error is not None:
        code = as_text(error)
        is_code = _ERROR_CODE.fullmatch(code)
        if code in REFUSED_GRANTS or code in requests.refused_grants:
            raise RefreshExpired(descriptor.name, code if is_code else "invalid_grant")
        raise RefreshTransient(descriptor.name, code if is_code else _status_code(response))
    if not response.ok:
        raise RefreshTransient(descriptor.name, _status_code(response))
    return document


def _status_code(response: fetch.Response) -> str:
    return "bad_answer" if response.ok else f"http_{response.status}"


@sensitive_variables()
def post_grant(
    descriptor: ProviderDescriptor,
    endpoint: str,
    fields: Mapping[str, str],
    *,
    deadline: float = REFRESH_DEADLINE,
) -> fetch.Response:
    """Send a grant with our authentication at that provider (OpenID Connect Core §9); *deadline* s in all.

    Raises:
        FetchError: No answer within the limits.
        ProviderUnavailable: ``misconfigured``: the private key cannot be used.
    """
    requests = descriptor.requests
    if endpoint in (descriptor.token_endpoint, requests.refresh_endpoint):
        # What a provider publishes about itself is never filled.
        endpoint = fill_url(endpoint, {"client_id": descriptor.client_id})
    sent, headers = authenticated(descriptor, endpoint, fields)
    policy = policy_of(descriptor)
    if requests.token_method == "GET":
        url = with_query(endpoint, sent)
        return fetch.get(url, policy=policy, headers=headers, deadline=deadline)
    if requests.token_body == "json":
        headers["Content-Type"] = "application/json"
        body = json.dumps(sent).encode()
        return fetch.post(endpoint, body, policy=policy, headers=headers, deadline=deadline)
    return fetch.post_form(endpoint, sent, headers=headers, policy=policy, deadline=deadline)


@sensitive_variables()
def post_revocation(
    descriptor: ProviderDescriptor, endpoint: str, bundle: UpstreamBundle, *, deadline: float
) -> None:
    """POST the refresh token, or the access token if there is no refresh token (RFC 7009 §2.1).

    The key ``revocation_request`` says another request, which names the access token.

    Raises as :func:`post_grant`, and:
        ProviderUnavailable: ``down``: the upstream could not do it now (RFC 7009 §2.2.1); ``redirect``; or
            ``misconfigured``: it does not know this site.
    """
    refresh_token, _ = split_kept(bundle.refresh_token)
    filled = {
        "client_id": descriptor.client_id,
        "access_token": bundle.access_token,
        "refresh_token": refresh_token,
    }
    if descriptor.revocation_endpoint:
        endpoint = fill_url(endpoint, filled)
    policy, request = policy_of(descriptor), descriptor.requests.revocation_request
    if request is None:
        kind = "refresh_token" if refresh_token else "access_token"
        fields = {"token": refresh_token or bundle.access_token, "token_type_hint": kind}
        sent, headers = authenticated(descriptor, endpoint, fields)
        answer = fetch.post_form(endpoint, sent, headers=headers, policy=policy, deadline=deadline)
    else:
        endpoint, body, headers = _revocation(descriptor, request, endpoint, filled)
        send = fetch.post if request.method == "POST" else fetch.delete
        answer = send(endpoint, body, headers=headers, policy=policy, deadline=deadline)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ProviderUnavailable("down", debug=f"revocation endpoint: HTTP {answer.status}")
    if request is None and answer.status == HTTPStatus.UNAUTHORIZED:
        # RFC 7009 §2.2.1: `invalid_client`. Of a token that it does not know it says nothing.
        raise ProviderUnavailable("misconfigured", debug=f"revocation endpoint: HTTP {answer.status}")
    if location := answer.location(with_path=False):
        # Nothing was revoked. The path may hold the access token, and a redirect repeats it.
        raise ProviderUnavailable("redirect", debug=f"revocation endpoint: to {location}")


@sensitive_variables()
def _revocation(
    descriptor: ProviderDescriptor, request: RevocationRequest, endpoint: str, filled: Mapping[str, str]
) -> tuple[str, bytes | None, dict[str, str]]:
    """Return address, body and headers of a revocation of its own shape.

    Raises:
        ProviderUnavailable: ``misconfigured``: the private key cannot be used.
    """
    place, name = request.place
    sent = fill_each(request.body, filled)
    if place == "form":
        sent[name] = filled["access_token"]
    if request.auth == "none" or request.is_in_header:
        headers = headers_of(descriptor)
    elif request.auth == "basic":
        by_basic = replace(descriptor, token_endpoint_auth_method="client_secret_basic")
        sent, headers = authenticated(by_basic, endpoint, sent)
    else:
        sent, headers = authenticated(descriptor, endpoint, sent)
    if request.is_in_header:
        headers["Authorization"] = f"{name or 'Bearer'} {filled['access_token']}"
    elif place == "query":
        endpoint = with_query(endpoint, {name: filled["access_token"]})
    if not sent:
        return endpoint, None, headers
    if request.body:
        return endpoint, json.dumps(sent).encode(), headers | {"Content-Type": "application/json"}
    return endpoint, urlencode(sent).encode(), headers | {"Content-Type": "application/x-www-form-urlencoded"}


@sensitive_variables()
def authenticated(
    descriptor: ProviderDescriptor, endpoint: str, fields: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return parameters and headers of a request that says who this site is.

    Raises:
        ProviderUnavailable: ``misconfigured``: the private key cannot be used.
    """
    requests, method = descriptor.requests, descriptor.token_endpoint_auth_method
    headers = headers_of(descriptor)
    if method == "client_secret_basic":
        return dict(fields), {**headers, "Authorization": _basic(descriptor)}
    sent = {**fields, requests.client_id_parameter: descriptor.client_id}
    if method == "client_secret_post":
        sent[requests.client_secret_parameter] = secret_of(descriptor)
    elif method in ("private_key_jwt", "client_secret_jwt"):
        sent["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        sent["client_assertion"] = assertion(descriptor, endpoint)
    return sent, headers


def headers_of(descriptor: ProviderDescriptor) -> dict[str, str]:
    """Return the headers of every request to this provider."""
    own = fill_each(descriptor.requests.headers, {"client_id": descriptor.client_id})
    return {"Accept": "application/json", **own}


@sensitive_variables()
def _basic(descriptor: ProviderDescriptor) -> str:
    """Return our credentials for HTTP Basic, each form-encoded first (RFC 6749 §2.3.1)."""
    parts = descriptor.client_id, secret_of(descriptor)
    if descriptor.requests.basic_encoding == "form":
        parts = quote_plus(parts[0]), quote_plus(parts[1])
    return "Basic " + base64.b64encode(":".join(parts).encode()).decode()


@sensitive_variables()
def with_query(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return *endpoint* with further parameters."""
    separator = "&" if urlsplit(endpoint).query else "?"
    return f"{endpoint}{separator}{urlencode(parameters, quote_via=quote)}" if parameters else endpoint
