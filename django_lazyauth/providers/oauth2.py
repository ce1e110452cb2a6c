"""Sign in with an OAuth 2.0 provider: the authorization code flow with PKCE, and a userinfo endpoint.

:class:`CodeFlow` is the leg that every upstream shares: out with a state, back with a code, the code for
tokens. :class:`OAuth2Provider` asks a userinfo endpoint who that was (GitHub-style); the OpenID provider,
which gets a signed answer, is in :mod:`django_lazyauth.providers.openid`. Both renew and revoke what they gave.

Not here: that a state is good for one callback and one browser, when a token is renewed (the flows), and any
write while the person signs in. No error holds a code, a token, a secret or a word of the upstream's (I13).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth import fetch
from django_lazyauth.errors import (
    IdentityRejected,
    ProviderDenied,
    ProviderUnavailable,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
)
from django_lazyauth.openid.descriptor import (
    IDENTIFIER_LIMIT,
    DescriptorError,
    ProviderDescriptor,
    descriptor_from_settings,
)
from django_lazyauth.openid.verify import IdTokenRejected, Profile, check_clean, read_profile
from django_lazyauth.vault import store as vault

from .base import Identity, Json, Provider, Redirect, Success, TokenAnswer

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

    from django_lazyauth.models import PendingAuthorization

#: Characters of a code; RFC 6749 sets none, real ones have a few hundred.
CODE_LIMIT: Final = 4096
#: Characters of one upstream token. JWTs with many groups reach 8,000.
TOKEN_LIMIT: Final = 32 * 1024
SCOPE_LIMIT: Final = 4096
#: Seconds. A longer lifetime than ten years is a mistake or a date.
LIFETIME_LIMIT: Final = 10 * 365 * 24 * 3600
#: Seconds that our signed assertion lives (RFC 7523 §3).
ASSERTION_LIFETIME: Final = 60
#: Seconds of a token request in all, and of a revocation, which somebody waits for who has an answer already.
REFRESH_DEADLINE: Final = 10.0
REVOCATION_DEADLINE: Final = 5.0

#: The refresh token is over (RFC 6749 §5.2); GitHub has a word of its own for it.
REFUSED_GRANTS: Final = frozenset({"invalid_grant", "bad_refresh_token"})
_ERROR_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

#: Prompts that mean something to an upstream. ``none`` never reaches one, ``consent`` is asked by us.
PASSED_PROMPTS: Final = ("login", "select_account", "create")
#: Errors by which the person, or the upstream in their stead, said no (RFC 6749 §4.1.2.1, OpenID Connect Core
#: §3.1.2.6, and Apple's word for it).
DENIALS: Final = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "login_required",
        "user_cancelled_authorize",
    }
)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the upstream is for this request, and whether it names itself in its answers (RFC 9207)."""

    authorization: str
    token: str
    userinfo: str = ""
    revocation: str = ""
    sends_issuer: bool = False


class CodeFlow(Provider):
    """The authorization code flow with an upstream (RFC 6749 §4.1, RFC 7636, RFC 9700)."""

    emits_commit: ClassVar[bool] = True

    def check(self) -> None:
        descriptor_from_settings(self.name, self.config)

    @cached_property
    def descriptor(self) -> ProviderDescriptor:
        """This provider as data.

        Raises:
            ProviderUnavailable: ``misconfigured``.
        """
        try:
            return descriptor_from_settings(self.name, self.config)
        except DescriptorError as error:
            raise ProviderUnavailable("misconfigured", debug=error.hint) from None

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect:
        verifier = secrets.token_urlsafe(48)
        private: Json = {
            "issuer": self.descriptor.issuer,
            "code_verifier": verifier,
            "redirect_uri": callback_uri,
        }
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        parameters = {
            **self.descriptor.extra_authorize_params,
            **wishes(pending),
            "response_type": "code",
            "client_id": self.descriptor.client_id,
            "redirect_uri": callback_uri,
            "scope": " ".join(self.descriptor.scopes),
            "state": state,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self.endpoints().authorization
        separator = "&" if urlsplit(endpoint).query else "?"
        return Redirect(f"{endpoint}{separator}{urlencode(parameters)}", private)

    @sensitive_variables()
    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success:
        if private.get("issuer") != self.descriptor.issuer:
            # The configuration changed while the person was away: this answer is another provider's (I9).
            raise ProviderUnavailable("configuration_changed")
        endpoints = self.endpoints()
        answer = read_callback(request)
        self.check_issuer(answer, endpoints)
        tokens = redeem(self.descriptor, endpoints.token, read_code(answer), private)
        success = self.identify(tokens, endpoints, pending, private, answer)
        commit: Json = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "id_token": tokens.id_token,
            "token_type": tokens.token_type,
            "scope": tokens.scope,
            "expires_at": _iso(tokens.expires_at),
            "refresh_expires_at": _iso(tokens.refresh_expires_at),
            "client_id": _json_key(pending.client_id),
            "subject": success.identity.subject,
        }
        return Success(
            success.identity, commit, auth_time=success.auth_time, amr=success.amr, acr=success.acr
        )

    @sensitive_variables()
    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        vault.store(
            vault.UpstreamBundle(
                session_id=session_id,
                provider=self.name,
                user_id=user.pk,
                client_id=commit["client_id"],
                subject=commit["subject"],
                access_token=commit["access_token"],
                refresh_token=commit["refresh_token"],
                id_token=commit["id_token"],
                token_type=commit["token_type"],
                scope=commit["scope"],
                expires_at=_time(commit["expires_at"]),
                refresh_expires_at=_time(commit["refresh_expires_at"]),
            )
        )

    @sensitive_variables()
    def refresh(self, bundle: vault.UpstreamBundle) -> TokenAnswer:
        """Renew the tokens of *bundle* (RFC 6749 §6); 10 s in all, looking up the endpoint included."""
        ends_at = time.monotonic() + REFRESH_DEADLINE
        try:
            endpoint = self.endpoints().token
            left = ends_at - time.monotonic()
            if left <= 0:
                raise RefreshTransient(self.name, "timeout")
            return renew(self.descriptor, endpoint, bundle, deadline=left)
        except ProviderUnavailable as error:
            if error.reason == "misconfigured":
                raise RefreshUnavailable(self.name, error.reason) from None
            raise RefreshTransient(self.name, error.reason) from None

    @sensitive_variables()
    def revoke(self, bundle: vault.UpstreamBundle) -> None:
        """Revoke the refresh token, or the access token where there is no other (RFC 7009 §2.1)."""
        endpoint = self.endpoints().revocation
        if not endpoint:
            return
        kind = "refresh_token" if bundle.refresh_token else "access_token"
        fields = {"token": getattr(bundle, kind), "token_type_hint": kind}
        try:
            post_grant(self.descriptor, endpoint, fields, deadline=REVOCATION_DEADLINE)
        except fetch.FetchError as error:
            raise ProviderUnavailable("unreachable", debug=f"revocation endpoint: {error.reason}") from None

    def endpoints(self) -> Endpoints:
        """Return where the upstream is.

        Raises:
            ProviderUnavailable: ``not_ready``: its metadata was never seen.
        """
        raise NotImplementedError

    def identify(
        self,
        tokens: TokenAnswer,
        endpoints: Endpoints,
        pending: PendingAuthorization,
        private: Json,
        answer: Mapping[str, str],
    ) -> Success:
        """Say whose *tokens* these are; the ``commit`` is added by the caller."""
        raise NotImplementedError

    def check_issuer(self, answer: Mapping[str, str], endpoints: Endpoints) -> None:
        """Refuse an answer, also one with an error, that names another issuer (RFC 9207 §2.4)."""
        issuer = answer.get("iss")
        if issuer is None:
            if endpoints.sends_issuer:
                raise IdentityRejected("issuer_missing")
        elif self.descriptor.issuer and not self.names_issuer(issuer):
            raise IdentityRejected("issuer_mismatch")

    def names_issuer(self, issuer: str) -> bool:
        return issuer == self.descriptor.issuer


class OAuth2Provider(CodeFlow):
    """An upstream without ID tokens: its userinfo endpoint says whose the access token is."""

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect:
        if pending.max_age is not None:
            # Nothing such a provider answers could show when the person last proved themselves.
            raise ProviderUnavailable("freshness_unknown")
        return super().begin(pending, state=state, callback_uri=callback_uri)

    def endpoints(self) -> Endpoints:
        descriptor = self.descriptor
        return Endpoints(
            descriptor.authorization_endpoint,
            descriptor.token_endpoint,
            descriptor.userinfo_endpoint,
            descriptor.revocation_endpoint,
        )

    @sensitive_variables()
    def identify(
        self,
        tokens: TokenAnswer,
        endpoints: Endpoints,
        pending: PendingAuthorization,
        private: Json,
        answer: Mapping[str, str],
    ) -> Success:
        document = read_userinfo(endpoints.userinfo, tokens.access_token)
        if not isinstance(document, dict):
            raise ProviderUnavailable("bad_answer", debug="userinfo: not an object")
        try:
            profile = read_profile(document, self.descriptor)
        except IdTokenRejected as error:
            raise IdentityRejected(error.reason) from None
        if self.descriptor.emails_endpoint:
            addresses = read_userinfo(self.descriptor.emails_endpoint, tokens.access_token)
            profile = choose_address(addresses, profile)
        identity = Identity(
            provider=self.name,
            subject=read_subject(document.get(self.descriptor.claims.subject)),
            issuer=self.descriptor.issuer,
            email=profile.email,
            email_verified=profile.email_verified and self.descriptor.states_email_verified,
            name=profile.name,
            claims={name: value for name, value in document.items() if isinstance(value, (str, int))},
        )
        return Success(identity)


# --- Out, and back ----------------------------------------------------------------------------------------


def wishes(pending: PendingAuthorization) -> dict[str, str]:
    """Return what the client asked for and the upstream has to heed (OpenID Connect Core §3.1.2.1)."""
    parameters = {
        "prompt": " ".join(prompt for prompt in PASSED_PROMPTS if prompt in pending.prompts),
        "login_hint": pending.login_hint,
        "ui_locales": pending.ui_locales,
    }
    if pending.max_age is not None:
        parameters["max_age"] = str(pending.max_age)
    return {name: value for name, value in parameters.items() if value}


def read_callback(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of the authorization response; none may be there twice (RFC 6749 §3.1)."""
    if any(len(values) != 1 for _, values in request.GET.lists()):
        raise ProviderUnavailable("malformed_callback")
    return {name: str(value) for name, value in request.GET.items()}


def read_code(answer: Mapping[str, str]) -> str:
    """Return the code of an authorization response.

    Raises:
        ProviderDenied: The person, or the upstream, said no.
        ProviderUnavailable: The upstream failed, or there is no code.
    """
    error = answer.get("error")
    if error is not None:
        if error in DENIALS:
            raise ProviderDenied(error)
        raise ProviderUnavailable("upstream_error")
    code = answer.get("code", "")
    if not 0 < len(code) <= CODE_LIMIT or not code.isprintable():
        raise ProviderUnavailable("malformed_callback")
    return code


# --- The token endpoint -----------------------------------------------------------------------------------


@sensitive_variables()
def redeem(descriptor: ProviderDescriptor, endpoint: str, code: str, private: Json) -> TokenAnswer:
    """Exchange *code* for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5).

    Raises:
        ProviderUnavailable: ``unreachable``, ``bad_answer`` or ``code_refused``.
    """
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": private["redirect_uri"],
        "code_verifier": private["code_verifier"],
    }
    now = timezone.now()
    try:
        response = post_grant(descriptor, endpoint, fields)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", debug=f"token endpoint: {error.reason}") from None
    try:
        document = response.json_object()
    except fetch.FetchError:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: HTTP {response.status}") from None
    if "error" in document:
        # Some say so with status 200.
        raise ProviderUnavailable("code_refused", debug=f"token endpoint: HTTP {response.status}")
    if not response.ok:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: HTTP {response.status}")
    return read_tokens(document, now=now, requested_scope=" ".join(descriptor.scopes))


@sensitive_variables()
def renew(
    descriptor: ProviderDescriptor, endpoint: str, bundle: vault.UpstreamBundle, *, deadline: float
) -> TokenAnswer:
    """Exchange the refresh token of *bundle* for new tokens (RFC 6749 §6).

    Raises:
        RefreshExpired: ``invalid_grant``, whatever the status that it came with.
        RefreshTransient: Any other answer, or none; ``code`` is the upstream's own where it gave one.
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
    if "error" in document:
        code = document["error"]
        if isinstance(code, str) and code in REFUSED_GRANTS:
            raise RefreshExpired(descriptor.name, code)
        is_code = isinstance(code, str) and _ERROR_CODE.fullmatch(code)
        raise RefreshTransient(descriptor.name, code if is_code else _status_code(response))
    if not response.ok:
        raise RefreshTransient(descriptor.name, _status_code(response))
    try:
        return read_tokens(document, now=now, requested_scope=bundle.scope)
    except ProviderUnavailable as error:
        raise RefreshTransient(descriptor.name, error.reason) from None


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
    """Return who chose the addresses of this provider (I14)."""
    return fetch.STRANGER if descriptor.is_discovered else fetch.OPERATOR


@sensitive_variables()
def _assertion(descriptor: ProviderDescriptor, endpoint: str) -> str:
    """Return a JWT that proves who we are to this endpoint once (RFC 7523 §3)."""
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


def read_tokens(document: Mapping[str, Any], *, now: datetime, requested_scope: str) -> TokenAnswer:
    """Read a successful answer of a token endpoint (RFC 6749 §5.1).

    Raises:
        ProviderUnavailable: ``bad_answer``: no access token, or a kind of token that we cannot present.
    """
    try:
        check_clean(document)
    except IdTokenRejected:
        raise ProviderUnavailable("bad_answer", debug="token endpoint: unclean") from None
    token_type = document.get("token_type", "Bearer")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise ProviderUnavailable("bad_answer", debug="token endpoint: not a bearer token")
    access_token = _token(document, "access_token")
    if not access_token:
        raise ProviderUnavailable("bad_answer", debug="token endpoint: no access token")
    scope = document.get("scope")
    lifetime = document.get("refresh_token_expires_in", document.get("refresh_expires_in"))
    return TokenAnswer(
        access_token=access_token,
        refresh_token=_token(document, "refresh_token"),
        id_token=_token(document, "id_token"),
        scope=scope if isinstance(scope, str) and 0 < len(scope) <= SCOPE_LIMIT else requested_scope,
        token_type="Bearer",
        expires_at=_ends_at(document.get("expires_in"), now),
        refresh_expires_at=_ends_at(lifetime, now),
    )


def _token(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TOKEN_LIMIT:
        raise ProviderUnavailable("bad_answer", debug=f"token endpoint: unusable {name}")
    return value


def _ends_at(lifetime: object, now: datetime) -> datetime | None:
    """Return when a lifetime in seconds is over; some send it as a string, some 0 for "never"."""
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdigit() and len(lifetime) < 12:
        lifetime = int(lifetime)
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)):
        return None
    if not math.isfinite(lifetime) or not 0 < lifetime <= LIFETIME_LIMIT:
        return None
    return now + timedelta(seconds=lifetime)


# --- The userinfo endpoint --------------------------------------------------------------------------------


@sensitive_variables()
def read_userinfo(endpoint: str, access_token: str) -> Any:
    """Return the JSON that *endpoint* answers to the bearer of *access_token* (OpenID Connect Core §5.3).

    Raises:
        ProviderUnavailable: It did not answer, or not with clean JSON.
    """
    headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
    try:
        response = fetch.get(endpoint, policy=fetch.OPERATOR, headers=headers)
        if not response.ok:
            raise ProviderUnavailable("bad_answer", debug=f"userinfo: HTTP {response.status}")
        document = response.json()
        check_clean(document)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", debug=f"userinfo: {error.reason}") from None
    except IdTokenRejected as error:
        raise IdentityRejected(error.reason) from None
    return document


def read_subject(value: object) -> str:
    """Return the stable name of a person; many providers count them."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= IDENTIFIER_LIMIT:
        raise IdentityRejected("sub")
    return value


def choose_address(addresses: object, profile: Profile) -> Profile:
    """Return *profile* with the best address of the list: verified before not, primary before not.

    The address on a public profile proves nothing, so it counts only where the list is empty.
    """
    if not isinstance(addresses, list):
        raise ProviderUnavailable("bad_answer", debug="e-mail list: not a list")
    usable = [
        entry
        for entry in addresses
        if isinstance(entry, dict) and isinstance(entry.get("email"), str) and 0 < len(entry["email"]) <= 256
    ]
    if not usable:
        return Profile(email=profile.email, email_verified=False, name=profile.name)
    best = max(usable, key=lambda entry: (entry.get("verified") is True, entry.get("primary") is True))
    return Profile(email=best["email"], email_verified=best.get("verified") is True, name=profile.name)


# --- The commit is JSON -----------------------------------------------------------------------------------


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _json_key(key: Any) -> Any:
    """Return a primary key as JSON: a host's client model may have UUIDs."""
    return key if isinstance(key, int) else str(key)
