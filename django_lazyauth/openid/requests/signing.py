"""What this site signs to authenticate at a provider: assertions, and secrets that are JWTs.

Not here: which of them a request holds (:mod:`django_lazyauth.providers.token_requests`).
"""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import jwt
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.openid.jose import TokenRejected, base64url

from .keys import SignedSecret
from .private_key import load_private_key

if TYPE_CHECKING:
    from django_lazyauth.openid.descriptor import ProviderDescriptor

#: Seconds that our signed assertion lives (RFC 7523 §3).
ASSERTION_LIFETIME: Final = 60
#: Seconds before its end when a signed secret is replaced.
SECRET_MARGIN: Final = 60


@sensitive_variables()
def assertion(descriptor: ProviderDescriptor, endpoint: str) -> str:
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
    if descriptor.token_endpoint_auth_method == "client_secret_jwt":
        return jwt.encode(claims, descriptor.client_secret, algorithm="HS256")
    headers = {"kid": descriptor.private_key_id} if descriptor.private_key_id else None
    key, algorithm = load_private_key(descriptor.private_key)
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


@sensitive_variables()
def secret_of(descriptor: ProviderDescriptor) -> str:
    """Return the client secret: the configured one, or the one that is signed with ``signed_secret``.

    The same one is returned to 60 s before its end, by every process.
    """
    signed = descriptor.requests.signed_secret
    if signed is None:
        return descriptor.client_secret
    step = signed.lifetime - SECRET_MARGIN
    return _signed(
        signed, descriptor.client_id, signed.audience or descriptor.issuer, int(time.time()) // step * step
    )


@lru_cache(maxsize=16)
def _signed(signed: SignedSecret, client_id: str, audience: str, issued_at: int) -> str:
    claims: dict[str, Any] = {
        "iss": signed.issuer,
        "sub": client_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + signed.lifetime,
    }
    key, algorithm = load_private_key(signed.key)
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": signed.key_id})


@sensitive_variables()
def end_of(secret: str) -> datetime | None:
    """Return when a secret that is a JWT expires; ``None`` where it is none, or does not say."""
    try:
        _header, payload, _signature = secret.split(".")
        ends_at = json.loads(base64url(payload))["exp"]
        return datetime.fromtimestamp(ends_at, UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError, TokenRejected):
        return None
