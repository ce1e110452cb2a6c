"""Two tokens that are about the end of a session: the one a client shows us, and the one we send a client.

An ``id_token_hint`` is an ID token of ours, expired or not, and nothing else of ours that is signed: an access
token, a logout token or a registration response names no session here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import jwt
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.toolkit import clients

from . import keys

#: Characters of a hint: our ID tokens have about 1 KB, of which the client chose the nonce.
MAX_HINT_LENGTH: Final = 8 * 1024
#: OpenID Connect Back-Channel Logout §2.4 asks for at most two minutes.
LOGOUT_TOKEN_LIFETIME: Final = timedelta(minutes=2)
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class Hint:
    """Whom and what an ID token of ours names.

    Attributes:
        subject: Who signed in.
        client_id: Whom the token was made for.
        session_id: The session it came with; ``None`` in tokens from before this app.
    """

    subject: str
    client_id: str
    session_id: uuid.UUID | None


def read_hint(token: str) -> Hint | None:
    """Return what an ``id_token_hint`` says, or ``None`` if it is no ID token of ours.

    Expired ones are good: that is when people come back to sign out (RP-Initiated Logout 1.0 §2).
    """
    claims = _verified_claims(token)
    if claims is None or "events" in claims:
        return None
    subject, audience = claims.get("sub"), claims.get("aud")
    if isinstance(audience, list):
        audience = audience[0] if len(audience) == 1 else None
    if not isinstance(subject, str) or not isinstance(audience, str):
        return None
    return Hint(subject, audience, _session_id(claims.get("sid")))


def _verified_claims(token: str) -> dict[str, Any] | None:
    if not token or len(token) > MAX_HINT_LENGTH or not token.isascii():
        return None
    try:
        header = jwt.get_unverified_header(token)
        # Access tokens are at+jwt (RFC 9068), logout tokens logout+jwt: their keys are the same ones.
        if str(header.get("typ", "")).lower() != "jwt":
            return None
        key = next(key for key in keys.signing_keys() if key.kid == header.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[key.algorithm],
            issuer=lazyauth_settings.issuer,
            options={
                "verify_exp": False,
                "verify_aud": False,
                "verify_iat": False,
                "verify_nbf": False,
                "require": ["iss", "sub", "aud", "exp", "iat"],
            },
        )
    except (jwt.InvalidTokenError, StopIteration, ValueError, RecursionError):
        return None
    return claims


def _session_id(value: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def make_logout_token(*, client: Any, subject: str, session_id: uuid.UUID) -> str:
    """Return a new logout token (OpenID Connect Back-Channel Logout §2.4).

    Never a ``nonce``: with one it could pass for an ID token.
    """
    now = timezone.now()
    claims = {
        "iss": lazyauth_settings.issuer,
        "sub": subject,
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LOGOUT_TOKEN_LIFETIME).timestamp()),
        "jti": str(uuid.uuid4()),
        "events": {LOGOUT_EVENT: {}},
        "sid": str(session_id),
    }
    return keys.sign(claims, key=keys.key_for(clients.id_token_algorithm(client)), typ="logout+jwt")
