"""Parse the private key of an entry, and say what it signs with. Django is not imported."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

RSA_BITS: Final = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@lru_cache(maxsize=16)
def load_private_key(pem: str) -> tuple[PrivateKey, str]:
    """Return a key and its algorithm. It is parsed once: an RSA key takes 36 ms.

    Raises:
        ValueError: It is no PEM, needs a password, is of another kind, or an RSA key of fewer than 2048 bits.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except Exception:  # noqa: BLE001 - the library raises errors of its own, whose text may hold a part of the key
        raise ValueError("no private key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_BITS:
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return key, "ES384"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    raise ValueError("unsupported key")
