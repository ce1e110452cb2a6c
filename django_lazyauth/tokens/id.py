"""ID tokens, and the claims about a user that they share with userinfo (OpenID Connect Core §2, §5.1)."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.text import is_undeliverable
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import IDToken, get_id_token_model

from . import keys
from .grantee import Grantee
from .host.claims import added_claims

#: Claim about a person → the scope that brings it (OpenID Connect Core §5.4).
SCOPE_OF_CLAIM: Final = {
    "sub": "openid",
    "name": "profile",
    "given_name": "profile",
    "family_name": "profile",
    "preferred_username": "profile",
    "email": "email",
    "email_verified": "email",
}
#: What an ID token may hold besides claims about a person, for the metadata.
PROTOCOL_CLAIMS: Final = ("iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "acr")


def new_id_token(grantee: Grantee, access_token: str, now: datetime) -> tuple[str, IDToken]:
    """Return a new ID token of *grantee*, and its unsaved row (OpenID Connect Core §2, §3.1.3.6)."""
    key = keys.key_for(clients.id_token_algorithm(grantee.client))
    expires = now + lazyauth_settings.id_token_lifetime
    jti = uuid.uuid4()
    claims = {
        **added_claims("ID_TOKEN_CLAIMS", lazyauth_settings.id_token_claims, grantee.issued_for),
        "iss": lazyauth_settings.issuer,
        "aud": grantee.client.client_id,
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
        "jti": str(jti),
        "at_hash": _half_hash(access_token, hashlib.sha512 if key.algorithm == "EdDSA" else hashlib.sha256),
        **user_claims(
            grantee.user, grantee.scopes, subject=grantee.subject, email_verified=grantee.email_verified
        ),
        **grantee.authentication.claims(),
    }
    if grantee.session_id is not None:
        claims["sid"] = str(grantee.session_id)
    if grantee.nonce:
        claims["nonce"] = grantee.nonce
    row = get_id_token_model()(
        user=grantee.user, application=grantee.client, scope=grantee.scope, expires=expires, jti=jti
    )
    return keys.sign(claims, key=key, typ="JWT"), row


def _half_hash(value: str, hash_function: Any) -> str:
    """Return the left half of the hash, in base64url (OpenID Connect Core §3.1.3.6)."""
    hashed = hash_function(value.encode()).digest()
    return base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).decode().rstrip("=")


def user_claims(user: Any, scopes: Iterable[str], *, subject: str, email_verified: bool) -> dict[str, Any]:
    """Return the claims about *user* that *scopes* bring. What is not known is left out.

    Args:
        subject: What the client calls them.
        email_verified: See :func:`has_verified_email`. It is used only where *scopes* have ``email``.
    """
    email = getattr(user, user.get_email_field_name(), "")
    claims: dict[str, Any] = {
        "sub": subject,
        # Never the user name instead: nobody is called by that.
        "name": user.get_full_name().strip() if hasattr(user, "get_full_name") else "",
        "given_name": getattr(user, "first_name", "").strip(),
        "family_name": getattr(user, "last_name", "").strip(),
        "preferred_username": _preferred_username(user, email),
        # One that was made up for the user model is nobody's.
        "email": "" if is_undeliverable(email or "") else email,
        "email_verified": email_verified if email and not is_undeliverable(email) else None,
    }
    brought = frozenset(scopes)
    return {
        name: value
        for name, value in claims.items()
        if value not in ("", None) and SCOPE_OF_CLAIM[name] in brought
    }


def _preferred_username(user: Any, email: str) -> str:
    """Return the user name; empty if it is the e-mail address, which is for the scope ``email`` to bring."""
    username: str = user.get_username()
    return "" if username.lower() == (email or "").lower() else username


def has_verified_email(user: Any, identity: ProviderIdentity | None = None) -> bool:
    """Say whether a provider verified the e-mail address of *user*. One query, unless *identity* is given.

    Args:
        identity: The only identity of a user who was written just now.
    """
    email = getattr(user, user.get_email_field_name(), "")
    if not email:
        return False
    if identity is not None:
        return bool(identity.email_verified and identity.email.lower() == email.lower())
    return ProviderIdentity.objects.filter(user=user, email__iexact=email, email_verified=True).exists()
