"""Make keys: for signing, and for the vault."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from .site_keys import KEY_BYTES

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

GENERATORS: Final[Mapping[str, Callable[[], PrivateKey]]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
#: What a new site signs with. ES256 is quick. RS256 is for the ID tokens of clients that registered no algorithm.
OF_A_NEW_SITE: Final = ("ES256", "RS256")


def new_pem(algorithm: str) -> str:
    """Return a new private key as PEM (PKCS #8)."""
    pem = GENERATORS[algorithm]().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def in_one_line(pem: str) -> str:
    """Return a PKCS #8 key as ``SIGNING_KEYS`` takes it too: the base64 text alone, without blanks and lines.

    Every reader of environment files takes it without quotes.
    """
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def new_vault_key(key_id: str) -> str:
    """Return a key as ``VAULT_KEYS`` takes it: ``"<key id>:<base64 of 32 bytes>"``."""
    return f"{key_id}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"
