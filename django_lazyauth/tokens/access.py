"""Access tokens as clients get them: JWTs that anybody with our keys can check (RFC 9068), or 256 random bits.

The row keeps a digest of either, so that introspection, revocation and the swap know it again. What a JWT says is
never read back from it here.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import TokenFacts
from django_lazyauth.openid.resource_indicators import audience_of
from django_lazyauth.toolkit.models import AccessToken, IDToken, get_access_token_model

from . import binding, keys
from .grantee import Grantee
from .host.claims import added_claims

#: RFC 9068 §2.1.
ACCESS_TOKEN_TYPE: Final = "at+jwt"


def new_access_token(grantee: Grantee, now: datetime, lifetime: timedelta) -> str:
    """Return a new access token of *grantee*."""
    if not are_jwts():
        return secrets.token_urlsafe(32)
    issued_at = int(now.timestamp())
    claims = {
        **added_claims("TOKEN_CLAIMS", lazyauth_settings.token_claims, grantee.issued_for),
        "iss": lazyauth_settings.issuer,
        "sub": grantee.subject if grantee.user is not None else grantee.client.client_id,
        "aud": _audience(grantee.resources),
        "client_id": grantee.client.client_id,
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(16),
    }
    if grantee.scopes:
        claims["scope"] = " ".join(dict.fromkeys(grantee.scopes))
    if grantee.session_id is not None:
        claims |= {"tsid": str(grantee.session_id), **grantee.authentication.claims()}
    if grantee.act is not None:
        claims["act"] = grantee.act
    claims |= binding.confirmation(grantee.jkt)
    return keys.sign(claims, key=keys.key_for(), typ=ACCESS_TOKEN_TYPE)


def are_jwts() -> bool:
    """Say whether access tokens are JWTs here, rather than opaque."""
    return lazyauth_settings.access_token_format != "opaque"


def _audience(resources: tuple[str, ...]) -> Any:
    audience = audience_of(resources)
    return audience[0] if len(audience) == 1 else audience


def new_row(grantee: Grantee, token: str, expires: datetime, id_token: IDToken | None) -> AccessToken:
    """Return the unsaved row of *token*. It keeps a digest only, whatever DOT's own setting says."""
    return get_access_token_model()(
        user=grantee.user,
        application=grantee.client,
        scope=grantee.scope,
        expires=expires,
        resource=list(grantee.resources),
        id_token=id_token,
        source_refresh_token=grantee.source,
        token="",
        token_checksum=binding.checksum(token, grantee.jkt),
    )


def facts_of(grantee: Grantee, row: AccessToken) -> TokenFacts | None:
    """Return what is known of the token of *row* beside it, unsaved; ``None`` if that is nothing."""
    if not grantee.jkt and grantee.act is None:
        return None
    return TokenFacts(
        token_checksum=row.token_checksum,
        session_id=grantee.session_id,
        jkt=grantee.jkt,
        act=grantee.act,
        expires_at=row.expires,
    )
