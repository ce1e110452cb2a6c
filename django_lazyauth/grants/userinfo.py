"""The claims about the person behind an access token (OpenID Connect Core §5.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest

from django_lazyauth.conf import allowed_algorithms, lazyauth_settings
from django_lazyauth.errors import InvalidDpopProof, TemporarilyUnavailable, UseDpopNonce
from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.openid.dpop.proof import ALGORITHMS
from django_lazyauth.resource_server.described import requires_dpop
from django_lazyauth.resource_server.proof import credentials_of
from django_lazyauth.tokens import keys
from django_lazyauth.tokens.bearer import Bearer, load_presented
from django_lazyauth.tokens.host.claims import IssuedFor, added_claims
from django_lazyauth.tokens.id import has_verified_email, user_claims
from django_lazyauth.toolkit.client_policies import userinfo_algorithm
from django_lazyauth.users.subjects import NoSuchUser, subject_of

from .contract import TokenAnswer


def answer_userinfo_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the userinfo endpoint."""
    credentials = credentials_of(http_request)
    wants_dpop = requires_dpop(http_request.path)
    if credentials is None:
        # No token, no error code (RFC 6750 §3.1).
        said = {"WWW-Authenticate": _challenge({}, is_dpop=wants_dpop)}
        return TokenAnswer("{}", int(HTTPStatus.UNAUTHORIZED), said)
    refused = partial(_refused, is_dpop=credentials.is_dpop or wants_dpop)
    try:
        presented = load_presented(http_request, credentials)
    except (InvalidDpopProof, UseDpopNonce) as error:
        return refused(HTTPStatus.UNAUTHORIZED, error.error, headers=error.headers())
    except TemporarilyUnavailable as error:
        return TokenAnswer.of_error(error)
    bearer = presented.bearer
    if bearer is None or bearer.user is None:
        return refused(HTTPStatus.UNAUTHORIZED, "invalid_token")
    if "openid" not in bearer.scopes:
        # The token is valid. If it were called invalid, clients would throw it away (RFC 6750 §3.1).
        return refused(HTTPStatus.FORBIDDEN, "insufficient_scope", scope="openid")
    try:
        subject = subject_of(bearer)
    except NoSuchUser:
        return refused(HTTPStatus.UNAUTHORIZED, "invalid_token")
    is_verified = "email" in bearer.scopes and has_verified_email(bearer.user)
    claims = {
        **_claims_of_the_host(bearer),
        **user_claims(bearer.user, bearer.scopes, subject=subject, email_verified=is_verified),
    }
    return _answer(claims, bearer).with_headers(nonce_headers(presented.proof))


def _claims_of_the_host(bearer: Bearer) -> dict[str, Any]:
    issued_for = IssuedFor(
        bearer.user, bearer.client.client_id, bearer.scopes, tuple(bearer.access_token.resource or ())
    )
    return added_claims("ID_TOKEN_CLAIMS", lazyauth_settings.id_token_claims, issued_for)


def _answer(claims: dict[str, Any], bearer: Bearer) -> TokenAnswer:
    """Return *claims*, signed where the client registered that (OpenID Connect Core §5.3.2).

    Without ``exp`` it is no ID token, and nobody takes it for one.
    """
    algorithm = userinfo_algorithm(bearer.client) if bearer.client is not None else ""
    if not algorithm:
        return TokenAnswer(json.dumps(claims))
    claims = {**claims, "iss": lazyauth_settings.issuer, "aud": bearer.client.client_id}
    body = keys.sign(claims, key=keys.key_for(algorithm), typ="JWT")
    return TokenAnswer(body, content_type="application/jwt")


def _refused(
    status: HTTPStatus,
    error: str,
    *,
    is_dpop: bool,
    scope: str = "",
    headers: Mapping[str, str] | None = None,
) -> TokenAnswer:
    challenge = _challenge({"error": error, "scope": scope}, is_dpop=is_dpop)
    return TokenAnswer(
        json.dumps({"error": error}), int(status), {**(headers or {}), "WWW-Authenticate": challenge}
    )


def _challenge(members: Mapping[str, str], *, is_dpop: bool) -> str:
    """Return one challenge, in the scheme that the next token has to come with (RFC 6750 §3, RFC 9449 §7.1)."""
    algorithms = {"algs": " ".join(allowed_algorithms(ALGORITHMS))} if is_dpop else {}
    said = ", ".join(f'{name}="{value}"' for name, value in {**members, **algorithms}.items() if value)
    return f"{'DPoP' if is_dpop else 'Bearer'} {said}".rstrip()
