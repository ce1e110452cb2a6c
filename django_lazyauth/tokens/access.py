"""Access tokens as clients get them: JWTs that anybody with our keys can check (RFC 9068), or 256 random bits.

Either is kept as a digest, so that introspection, revocation and the swap know it again; what a JWT says is
never read back from it here.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone
from oauthlib.oauth2.rfc6749 import errors

from django_lazyauth.conf import lazyauth_settings

from . import keys
from .resources import audience_of

if TYPE_CHECKING:
    from django_lazyauth.toolkit.validator import LazyAuthValidator

#: RFC 9068 §2.1.
ACCESS_TOKEN_TYPE: Final = "at+jwt"


def new_access_token(validator: LazyAuthValidator, request: Any) -> str:
    """Return the access token that answers *request*, which oauthlib has validated.

    Raises:
        OAuth2Error: The token cannot be made: a resource that was not granted, or a client that could be taken
            for a person.
    """
    lifetime = lazyauth_settings.access_token_lifetime
    validator.access_token_issued_at = now = timezone.now()
    if lazyauth_settings.access_token_format == "opaque":
        return secrets.token_urlsafe(32)
    validator.check_resource(request)
    issued_at = int(now.timestamp())
    claims = {
        "iss": lazyauth_settings.issuer,
        "sub": _subject(request),
        "aud": _audience(request.resource),
        "client_id": request.client.client_id,
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(16),
    }
    if request.scopes:
        claims["scope"] = " ".join(dict.fromkeys(request.scopes))
    session_id = validator.session_of(request)
    if session_id is not None:
        claims |= {"tsid": str(session_id), **validator.authentication_claims(request)}
    return keys.sign(claims, key=keys.key_for(), typ=ACCESS_TOKEN_TYPE)


def _audience(resources: list[str]) -> str | list[str]:
    audience = audience_of(resources)
    return audience[0] if len(audience) == 1 else audience


def _subject(request: Any) -> str:
    """Return the user, or the client that acts for itself (RFC 9068 §2.2)."""
    if request.grant_type != "client_credentials":
        return str(request.user.pk)
    client_id: str = request.client.client_id
    if _names_a_user(client_id):
        # Whoever reads `sub` alone would take the client for that person (RFC 9700 §4.15).
        raise errors.UnauthorizedClientError(
            description="The id of this client is also that of a user.", request=request
        )
    return client_id


def _names_a_user(text: str) -> bool:
    """Say whether *text* is the ``sub`` of somebody. No query where it could not be."""
    model = get_user_model()
    try:
        pk = model._meta.pk.to_python(text)
        return str(pk) == text and bool(model._base_manager.filter(pk=pk).exists())
    except (ValidationError, ValueError, OverflowError):
        return False
