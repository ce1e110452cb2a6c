"""The keys we sign with, the set of them that we publish, and JSON Web Tokens signed with them.

Keys are parsed once per process and PEM, and a token's header is encoded once per key: parsing an RSA key costs
more than a whole exchange.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.crypto.development import development_keys
from django_lazyauth.kit.crypto.new_keys import PrivateKey, new_pem
from django_lazyauth.toolkit.settings import rsa_private_keys

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: Bits of an RSA modulus: below is weak, above is more than verifiers take.
RSA_BITS: Final = range(2048, 8193)
_SIGNERS: Final = {name: get_default_algorithms()[name] for name in ("RS256", "ES256", "EdDSA")}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of ours: its RFC 7638 thumbprint as ``kid``, the one algorithm it signs with.

    Attributes:
        private_key: ``None`` for a key that is retired for good: it is published, and signs nothing.
    """

    kid: str
    algorithm: str
    private_key: PrivateKey | None
    public_key: PublicKey
    public_jwk: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r}, {self.algorithm!r})"


# -- the list --------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def parse_signing_key(pem: str) -> SigningKey:
    """Read a private key: RSA of 2048 to 8192 bits, EC P-256, or Ed25519; as PEM, or its base64 text in one line.

    Raises:
        ImproperlyConfigured: Something else. The message holds no part of the key.
    """
    if not pem.lstrip().startswith("-----"):
        pem = f"-----BEGIN PRIVATE KEY-----\n{pem.strip()}\n-----END PRIVATE KEY-----\n"
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ImproperlyConfigured('One of LAZYAUTH["SIGNING_KEYS"] is not a PEM private key.') from None
    if not isinstance(key, PrivateKey):
        raise ImproperlyConfigured(_WRONG_KIND)
    return _describe(key, key.public_key())


@lru_cache(maxsize=32)
def parse_published_key(pem: str) -> SigningKey:
    """Read a PEM key that need not sign: a private one, or the public half of one that was destroyed.

    Raises:
        ImproperlyConfigured: Neither.
    """
    if "PUBLIC KEY" not in pem:
        return parse_signing_key(pem)
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ImproperlyConfigured('One of LAZYAUTH["SIGNING_KEYS"] is not a PEM key.') from None
    if not isinstance(key, PublicKey):
        raise ImproperlyConfigured(_WRONG_KIND)
    return _describe(None, key)


_WRONG_KIND = "A signing key must be RSA (2048 to 8192 bits), EC P-256 or Ed25519."


def _describe(private_key: PrivateKey | None, public_key: PublicKey) -> SigningKey:
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size in RSA_BITS:
        algorithm, public = "RS256", RSAAlgorithm.to_jwk(public_key)
    elif isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, ec.SECP256R1):
        algorithm, public = "ES256", ECAlgorithm.to_jwk(public_key)
    elif isinstance(public_key, ed25519.Ed25519PublicKey):
        algorithm, public = "EdDSA", OKPAlgorithm.to_jwk(public_key)
    else:
        raise ImproperlyConfigured(_WRONG_KIND)
    members = json.loads(public)
    members.pop("key_ops", None)
    kid = _thumbprint(members)
    published = {**members, "kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(kid, algorithm, private_key, public_key, published)


#: Members of each kind of key that its thumbprint is made of (RFC 7638 §3.2, RFC 8037 §2).
_REQUIRED: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def _thumbprint(members: Mapping[str, Any]) -> str:
    """Return the RFC 7638 thumbprint of a JWK: the SHA-256 of its required members, sorted and without blanks."""
    required = {name: members[name] for name in _REQUIRED[members["kty"]]}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest()).decode()


def signing_keys() -> list[SigningKey]:
    """Return our keys, the signing one first; a site that only has DOT's setting signs with that.

    Raises:
        ImproperlyConfigured: One cannot be read, or the first is not a private key.
    """
    return list(_parse(*_pems()))


def _pems() -> tuple[str, ...]:
    return tuple(lazyauth_settings.signing_keys or rsa_private_keys() or development_keys().signing_keys)


@lru_cache(maxsize=8)
def _parse(*pems: str) -> tuple[SigningKey, ...]:
    keys: dict[str, SigningKey] = {}
    for place, pem in enumerate(pems):
        key = parse_published_key(pem) if place else parse_signing_key(pem)
        # The same key twice would be one id for two keys. A private half that is there is kept.
        if key.kid not in keys or keys[key.kid].private_key is None:
            keys[key.kid] = key
    return tuple(keys.values())


def key_for(algorithm: str = "") -> SigningKey:
    """Return the key to sign with: the first of *algorithm* that can, or the first of all.

    Raises:
        ImproperlyConfigured: There is no key.
    """
    keys = _parse(*_pems())
    if not keys:
        raise ImproperlyConfigured('Set LAZYAUTH["SIGNING_KEYS"]: tokens must be signed.')
    return next((key for key in keys if key.algorithm == algorithm and key.private_key), keys[0])


def signing_algorithms() -> tuple[str, ...]:
    """Return the algorithms that we can sign with, that of the first key first."""
    return tuple(dict.fromkeys(key.algorithm for key in _parse(*_pems()) if key.private_key))


# -- a new one -------------------------------------------------------------------------------------------


def generate_signing_key(algorithm: str) -> tuple[str, SigningKey]:
    """Return a new private key as PEM (PKCS #8), and what it is."""
    pem = new_pem(algorithm)
    return pem, parse_signing_key(pem)


# -- what is published -----------------------------------------------------------------------------------


def public_key_set() -> dict[str, list[Mapping[str, Any]]]:
    """Return the JWKS that we publish (RFC 7517 §5)."""
    return {"keys": [key.public_jwk for key in signing_keys()]}


@dataclass(frozen=True, slots=True)
class PublishedKeySet:
    """The JWKS as it is sent: its bytes, and the entity tag that changes with them (RFC 9110 §8.8.3)."""

    body: bytes
    etag: str


def published_key_set() -> PublishedKeySet:
    """Return the JWKS, encoded once per list of keys."""
    return _publish(*_pems())


@lru_cache(maxsize=8)
def _publish(*pems: str) -> PublishedKeySet:
    body = json.dumps({"keys": [key.public_jwk for key in _parse(*pems)]}).encode()
    return PublishedKeySet(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


# -- tokens ----------------------------------------------------------------------------------------------


def sign(claims: Mapping[str, Any], *, key: SigningKey, typ: str) -> str:
    """Return *claims* as a JWS in compact form (RFC 7515 §7.1).

    Args:
        claims: JSON; times as seconds.
        key: One that can sign.
        typ: ``JWT`` for ID tokens, ``at+jwt`` for access tokens (RFC 9068 §2.1): who takes one kind must be able
            to refuse the others (RFC 8725 §3.11).
    """
    if key.private_key is None:
        raise ImproperlyConfigured("A retired key signs nothing.")
    payload = json.dumps(claims, separators=(",", ":")).encode()
    signed = _encoded_header(key.kid, key.algorithm, typ) + _base64url(payload)
    signer: Any = _SIGNERS[key.algorithm]
    return (signed + b"." + _base64url(signer.sign(signed, key.private_key))).decode()


@lru_cache(maxsize=64)
def _encoded_header(kid: str, algorithm: str, typ: str) -> bytes:
    header = {"alg": algorithm, "kid": kid, "typ": typ}
    return _base64url(json.dumps(header, separators=(",", ":")).encode()) + b"."


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
