"""DPoP proofs as a client makes them (RFC 9449 §4.2), and as an attacker does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms


@dataclass(frozen=True)
class ProofKey:
    """A key of a client."""

    private: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    algorithm: str = "ES256"

    @property
    def public(self) -> dict[str, Any]:
        made = get_default_algorithms()[_known(self.algorithm)].to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {name: value for name, value in made.items() if name != "key_ops"}

    @property
    def thumbprint(self) -> str:
        """RFC 7638 §3, written anew: it shares nothing with what is tested."""
        names = {"EC": ["crv", "kty", "x", "y"], "OKP": ["crv", "kty", "x"], "RSA": ["e", "kty", "n"]}
        public = self.public
        members = ",".join(f'"{name}":"{public[name]}"' for name in names[public["kty"]])
        return encoded(hashlib.sha256(f"{{{members}}}".encode()).digest())

    def proof(
        self,
        url: str,
        method: str = "POST",
        *,
        header: dict[str, Any] | None = None,
        access_token: str | None = None,
        **claims: Any,
    ) -> str:
        """Return a proof. What is ``None`` is left out."""
        said = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        if access_token is not None:
            said["ath"] = encoded(hashlib.sha256(access_token.encode()).digest())
        given = {"typ": "dpop+jwt", "jwk": self.public, "alg": self.algorithm} | (header or {})
        return self.sign(_without_none(given), _without_none(said | claims))

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """Return a JWS of these parts, however wrong they are."""
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = get_default_algorithms()[_known(self.algorithm)].sign(signed.encode(), self.private)
        return f"{signed}.{encoded(signature)}"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _known(algorithm: str) -> str:
    return "EdDSA" if algorithm == "Ed25519" else algorithm


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@cache
def key_of(algorithm: str) -> ProofKey:
    """Return the same key for each algorithm: an RSA key takes long to make."""
    if algorithm in ("RS256", "PS256"):
        return ProofKey(rsa.generate_private_key(65537, 2048), algorithm)
    if algorithm in ("EdDSA", "Ed25519"):
        return ProofKey(ed25519.Ed25519PrivateKey.generate(), algorithm)
    return ProofKey()


def signed_with_secret(key: ProofKey, claims: dict[str, Any]) -> str:
    """Return a "proof" whose MAC key is the public key, as text."""
    header = {"typ": "dpop+jwt", "jwk": key.public, "alg": "HS256"}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    secret = json.dumps(key.public).encode()
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"
