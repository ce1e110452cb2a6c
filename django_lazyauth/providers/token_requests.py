"""Requests to the token and revocation endpoints of an upstream, and their answers.

No error holds a code, a token, a secret or text of the upstream (I13).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderUnavailable, RefreshExpired, RefreshTransient
from django_lazyauth.kit import fetch
from django_lazyauth.kit.times import read_lifetime
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.jose import TokenRejected, check_clean
from django_lazyauth.vault.tokens import UpstreamBundle, UpstreamTokens

from .base import Json, UnusableAnswer

#: Characters of one upstream token. JWTs with many groups reach 8,000.
TOKEN_LIMIT: Final = 32 * 1024
SCOPE_LIMIT: Final = 4096
TOKENS: Final = frozenset({"access_token", "refresh_token", "id_token"})
#: What is read of an answer, beside the lifetimes.
MEMBERS: Final = TOKENS | {"token_type", "scope"}
LIFETIMES: Final = frozenset({"expires_in", "refresh_token_expires_in", "refresh_expires_in"})
#: Seconds that our signed assertion lives (RFC 7523 §3).
ASSERTION_LIFETIME: Final = 60
#: Seconds of a token request in all.
REFRESH_DEADLINE: Final = 10.0

#: The refresh token is expired or revoked (RFC 6749 §5.2). The second code is GitHub's.
REFUSED_GRANTS: Final = frozenset({"invalid_grant", "bad_refresh_token"})
_ERROR_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@sensitive_variables()
def redeem(
    descriptor: ProviderDescriptor, endpoint: str, code: str, private: Json
) -> tuple[UpstreamTokens, Mapping[str, Any]]:
    """Exchange *code* for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). The rest of the answer comes with them.

    Raises:
        ProviderUnavailable: ``unreachable``, ``bad_answer`` or ``code_refused``.
    """
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": private["redirect_uri"],
    }
    if descriptor.requests.pkce != "none":
        if not private.get("code_verifier"):
            raise ProviderUnavailable("configuration_changed")
        fields["code_verifier"] = private["code_verifier"]
    now = timezone.now()
    try:
        response = post_grant(descriptor, endpoint, fields)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", debug=f"token endpoint: {error.reason}") from None
    try:
        document = response.json_object()
    except fetch.FetchError:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: HTTP {response.status}") from None
    if document.get("error"):
        # Some upstreams send an error with status 200.
        raise ProviderUnavailable("code_refused", debug=f"token endpoint: HTTP {response.status}")
    if not response.ok:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: HTTP {response.status}")
    # An odd member that nobody reads refuses nothing.
    read = {name: document.get(name) for name in MEMBERS | LIFETIMES}
    tokens = read_tokens(read, now=now, requested_scope=" ".join(descriptor.scopes))
    return tokens, {name: value for name, value in document.items() if name not in TOKENS}


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
    fields = {"grant_type": "refresh_token", "refresh_token": bundle.refresh_token}
    now = timezone.now()
    try:
        response = post_grant(descriptor, endpoint, fields, deadline=deadline)
    except fetch.FetchError as error:
        raise RefreshTransient(descriptor.name, error.reason) from None
    try:
        document = response.json_object()
    except fetch.FetchError:
        raise RefreshTransient(descriptor.name, _status_code(response)) from None
    code = document.get("error")
    if code:
        if isinstance(code, str) and code in REFUSED_GRANTS:
            raise RefreshExpired(descriptor.name, code)
        is_code = isinstance(code, str) and _ERROR_CODE.fullmatch(code)
        raise RefreshTransient(descriptor.name, code if is_code else _status_code(response))
    if not response.ok:
        raise RefreshTransient(descriptor.name, _status_code(response))
    # An odd member that nobody reads refuses nothing.
    document = {name: document.get(name) for name in MEMBERS | LIFETIMES}
    if not _is_token(document["id_token"]):
        # The one of the sign-in stays.
        document["id_token"] = None
    try:
        return read_tokens(document, now=now, requested_scope=bundle.scope)
    except ProviderUnavailable as error:
        return _unusable(document, bundle, error.reason, now)


@sensitive_variables()
def _unusable(
    document: Mapping[str, Any], bundle: UpstreamBundle, reason: str, now: datetime
) -> UnusableAnswer:
    """Return what an answer without a usable access token says of the refresh token."""
    token = document.get("refresh_token")
    if not token or token == bundle.refresh_token:
        return UnusableAnswer(reason)
    if not _is_token(token):
        return UnusableAnswer(reason, is_spent=True)
    return UnusableAnswer(
        reason, is_spent=True, refresh_token=token, refresh_expires_at=_refresh_ends_at(document, now)
    )


@sensitive_variables()
def _is_token(value: object) -> bool:
    try:
        check_clean({"token": value})
    except TokenRejected:
        return False
    return isinstance(value, str) and 0 < len(value) <= TOKEN_LIMIT


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
    """POST a grant with our authentication at that provider (OpenID Connect Core §9); *deadline* s in all.

    Raises:
        FetchError: No answer within the limits.
        ProviderUnavailable: ``misconfigured``: the private key cannot be used.
    """
    sent = dict(fields)
    method = descriptor.token_endpoint_auth_method
    if method == "client_secret_basic":
        credentials = (descriptor.client_id, descriptor.client_secret)
        return fetch.post_form(
            endpoint, sent, auth=credentials, policy=policy_of(descriptor), deadline=deadline
        )
    sent["client_id"] = descriptor.client_id
    if method == "client_secret_post":
        sent["client_secret"] = descriptor.client_secret
    elif method == "private_key_jwt":
        sent["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        sent["client_assertion"] = _assertion(descriptor, endpoint)
    return fetch.post_form(endpoint, sent, policy=policy_of(descriptor), deadline=deadline)


def policy_of(descriptor: ProviderDescriptor) -> fetch.Policy:
    """Return the policy for the addresses of this provider (I14)."""
    return fetch.STRANGER if descriptor.is_discovered else fetch.OPERATOR


@sensitive_variables()
def _assertion(descriptor: ProviderDescriptor, endpoint: str) -> str:
    """Return a JWT that authenticates this site to the endpoint once (RFC 7523 §3)."""
    now = int(time.time())
    claims = {
        "iss": descriptor.client_id,
        "sub": descriptor.client_id,
        "aud": endpoint,
        "iat": now,
        "exp": now + ASSERTION_LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }
    headers = {"kid": descriptor.private_key_id} if descriptor.private_key_id else None
    try:
        key, algorithm = _private_key(descriptor.private_key)
        return jwt.encode(claims, key, algorithm=algorithm, headers=headers)
    except (ValueError, TypeError, jwt.PyJWTError):
        raise ProviderUnavailable("misconfigured", debug='"private_key" cannot be used') from None


@lru_cache(maxsize=8)
def _private_key(
    pem: str,
) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, str]:
    """Parse a key once: an RSA key takes 36 ms."""
    key = load_pem_private_key(pem.encode(), password=None)
    if isinstance(key, rsa.RSAPrivateKey):
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    raise ValueError("unsupported key")


@sensitive_variables()
def read_tokens(document: Mapping[str, Any], *, now: datetime, requested_scope: str) -> UpstreamTokens:
    """Read a successful answer of a token endpoint (RFC 6749 §5.1).

    Raises:
        ProviderUnavailable: ``bad_answer``: no access token, or a token type that we cannot use.
    """
    try:
        # An odd lifetime is unknown. It refuses nobody.
        check_clean({name: value for name, value in document.items() if name not in LIFETIMES})
    except TokenRejected:
        raise ProviderUnavailable("bad_answer", debug="token endpoint: unclean") from None
    token_type = document.get("token_type") or "Bearer"
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise ProviderUnavailable("bad_answer", debug="token endpoint: not a bearer token")
    access_token = _token(document, "access_token")
    if not access_token:
        raise ProviderUnavailable("bad_answer", debug="token endpoint: no access token")
    scope = document.get("scope")
    return UpstreamTokens(
        access_token=access_token,
        refresh_token=_token(document, "refresh_token"),
        id_token=_token(document, "id_token"),
        scope=scope if isinstance(scope, str) and 0 < len(scope) <= SCOPE_LIMIT else requested_scope,
        token_type="Bearer",
        expires_at=_ends_at(document.get("expires_in"), now),
        refresh_expires_at=_refresh_ends_at(document, now),
    )


@sensitive_variables()
def _token(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not value:
        return ""
    if not isinstance(value, str) or len(value) > TOKEN_LIMIT:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: unusable {name}")
    return value


def _ends_at(lifetime: object, now: datetime) -> datetime | None:
    """Return when a lifetime in seconds ends; ``None`` where the upstream does not say."""
    known = read_lifetime(lifetime)
    return None if known is None else now + known


def _refresh_ends_at(document: Mapping[str, Any], now: datetime) -> datetime | None:
    lifetime = document.get("refresh_token_expires_in")
    return _ends_at(document.get("refresh_expires_in") if lifetime is None else lifetime, now)
