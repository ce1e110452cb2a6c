"""The key that tokens are bound to, and the proofs that it signs (RFC 9449 §4)."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from .errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class ProofKey:
    """An ES256 key.

    Attributes:
        private: The private key.
        nonces: The last nonce that each origin gave us. It changes as servers answer.
    """

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    nonces: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what :meth:`to_text` returned.

        Raises:
            StoreUnavailable: It is something else.
        """
        try:
            private = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(text)
        except jwt.InvalidKeyError:
            private = None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            # The cause would show what was stored.
            raise StoreUnavailable("The stored key cannot be read.", reason="unreadable") from None
        return cls(private)

    def to_text(self) -> str:
        return json.dumps(ECAlgorithm.to_jwk(self.private, as_dict=True))

    def proof(self, method: str, url: str, *, access_token: str | None = None) -> str:
        """Return the ``DPoP`` header of a request, with the nonce that its origin wants."""
        claims: dict[str, Any] = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url.split("?")[0].split("#")[0],
            "iat": int(time.time()),
        }
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (nonce := self.nonces.get(origin_of(url))) is not None:
            claims["nonce"] = nonce
        public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        header = {"typ": "dpop+jwt", "jwk": {name: public[name] for name in ("kty", "crv", "x", "y")}}
        return jwt.encode(claims, self.private, algorithm="ES256", headers=header)

    def learn_nonce(self, url: str, nonce: str | None) -> bool:
        """Remember what the ``DPoP-Nonce`` header of an answer says. Say whether it is new."""
        if nonce is None or self.nonces.get(origin_of(url)) == nonce:
            return False
        self.nonces[origin_of(url)] = nonce
        return True


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
