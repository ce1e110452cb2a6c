"""The keys we sign with, and JSON Web Tokens signed with them.

Keys are parsed once per process and PEM: parsing an RSA key costs more than a whole exchange.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.core.exceptions import ImproperlyConfigured
from jwcrypto import jwk
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from oauth2_provider.settings import oauth2_settings

from django_lazyauth.conf import lazyauth_settings

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of ours: its RFC 7638 thumbprint as ``kid``, the one algorithm it signs with."""

    kid: str
    algorithm: str
    private_key: PrivateKey
    public_jwk: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r}, {self.algorithm!r})"


@lru_cache(maxsize=32)
def parse_signing_key(pem: str) -> SigningKey:
    """Read a PEM private key: RSA of at least 2048 bits, EC P-256, or Ed25519.

    Raises:
        ImproperlyConfigured: Something else. The message holds no part of the key.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ImproperlyConfigured('One of LAZYAUTH["SIGNING_KEYS"] is not a PEM private key.') from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        algorithm, public = "RS256", RSAAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm, public = "ES256", ECAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm, public = "EdDSA", OKPAlgorithm.to_jwk(key.public_key())
    else:
        raise ImproperlyConfigured("A signing key must be RSA (2048 bits or more), EC P-256 or Ed25519.")
    members = json.loads(public)
    members.pop("key_ops", None)
    kid = jwk.JWK(**members).thumbprint()
    return SigningKey(kid, algorithm, key, {**members, "kid": kid, "alg": algorithm, "use": "sig"})


def signing_keys() -> list[SigningKey]:
    """Return our keys, the signing one first; a site that only has DOT's setting signs with that."""
    pems = lazyauth_settings.signing_keys
    if not pems and oauth2_settings.OIDC_RSA_PRIVATE_KEY:
        pems = [oauth2_settings.OIDC_RSA_PRIVATE_KEY, *oauth2_settings.OIDC_RSA_PRIVATE_KEYS_INACTIVE]
    return [parse_signing_key(pem) for pem in pems]


def key_for(algorithm: str = "") -> SigningKey:
    """Return the key to sign with: the first of *algorithm*, or the first of all.

    Raises:
        ImproperlyConfigured: There is no key.
    """
    keys = signing_keys()
    if not keys:
        raise ImproperlyConfigured('Set LAZYAUTH["SIGNING_KEYS"]: ID tokens must be signed.')
    return next((key for key in keys if key.algorithm == algorithm), keys[0])


def sign(claims: Mapping[str, Any], *, key: SigningKey, typ: str) -> str:
    """Return *claims* as a JWS in compact form."""
    return jwt.encode(
        dict(claims), key.private_key, algorithm=key.algorithm, headers={"kid": key.kid, "typ": typ}
    )


def public_key_set() -> dict[str, list[Mapping[str, Any]]]:
    """Return the JWKS that we publish (RFC 7517 §5)."""
    return {"keys": [key.public_jwk for key in signing_keys()]}


def subject_of_hint(token: str) -> str | None:
    """Return the subject of an ID token of ours, expired or not, or ``None`` (``id_token_hint``)."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next(key for key in signing_keys() if key.kid == kid)
        claims = jwt.decode(
            token,
            key.private_key.public_key(),
            algorithms=[key.algorithm],
            issuer=lazyauth_settings.issuer,
            options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
        )
    except (jwt.InvalidTokenError, StopIteration, ValueError, RecursionError):
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None
