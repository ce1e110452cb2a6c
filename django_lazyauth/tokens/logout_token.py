"""The two tokens of a logout: the ``id_token_hint`` of a client, and the logout token that we send to a client.

An ``id_token_hint`` is an ID token of ours, expired or not. Other things that we sign are refused: an access token, a
logout token, a registration response.
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

#: Characters of a hint. Our ID tokens have about 1 KB. The client chooses the length of the nonce in them.
MAX_HINT_LENGTH: Final = 8 * 1024
#: OpenID Connect Back-Channel Logout §2.4 asks for at most two minutes.
LOGOUT_TOKEN_LIFETIME: Final = timedelta(minutes=2)
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token of ours says.

    Attributes:
        subject: The user who signed in.
        client_id: The client that the token was made for.
        session_id: The session of the token. ``None`` in tokens from before this app.
        expires_at: Seconds since the epoch. It may be long ago.
    """

    subject: str
    client_id: str
    session_id: uuid.UUID | None
    expires_at: float = 0


def read_hint(token: str) -> Hint | None:
    """Return what an ``id_token_hint`` says, or ``None`` if it is no ID token of ours.

    An expired one is accepted: people often sign out after it expired (RP-Initiated Logout 1.0 §2).
    """
    claims = _verified_claims(token)
    if claims is None or "events" in claims:
        return None
    subject, audience = claims.get("sub"), claims.get("aud")
    if isinstance(audience, list):
        audience = audience[0] if len(audience) == 1 else None
    if not isinstance(subject, str) or not isinstance(audience, str):
        return None
    return Hint(subject, audience, _session_id(claims.get("sid")), float(claims["exp"]))


def _verified_claims(token: str) -> dict[str, Any] | None:
    if not token or len(token) > MAX_HINT_LENGTH or not token.isascii():
        return None
    try:
        header = jwt.get_unverified_header(token)
        # Access tokens have at+jwt (RFC 9068), logout tokens logout+jwt. All are signed with the same keys.
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

    It never has a ``nonce``, because then it could pass for an ID token.
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
