"""A client's key, assertions signed with it, and the rows that let a client use it."""

from __future__ import annotations

import json
import secrets
import time
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration, ClientSource
from tests.support.id_tokens import encode
from tests.support.journey import ISSUER

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: RSA keys take long to make.
_RSA = rsa.generate_private_key(65537, 2048)
_KEYS = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: _RSA,
    "PS256": lambda: _RSA,
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


class ClientKey:
    """A key pair of a client.

    Attributes:
        algorithm: What it signs with. ``Ed25519`` is ``EdDSA`` by its newer name.
        kid: The id that its public half has; empty for none.
    """

    def __init__(self, algorithm: str = "ES256", *, kid: str = "key-1", private: Any = None) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self.private = private or _KEYS[algorithm]()
        self._signer = jwt.get_algorithm_by_name("EdDSA" if algorithm == "Ed25519" else algorithm)

    @property
    def public_jwk(self) -> dict[str, Any]:
        made = self._signer.to_jwk(self.private.public_key(), as_dict=True)
        kept = {name: made[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in made}
        return kept | ({"kid": self.kid} if self.kid else {})

    @property
    def private_jwk(self) -> dict[str, Any]:
        made = self._signer.to_jwk(self.private, as_dict=True)
        made.pop("key_ops", None)
        return made | ({"kid": self.kid} if self.kid else {})

    @property
    def key_set(self) -> dict[str, Any]:
        return {"keys": [self.public_jwk]}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """Sign whatever it is. ``...`` removes a member of the header."""
        head = {"alg": self.algorithm, **({"kid": self.kid} if self.kid else {}), **header}
        head = {name: value for name, value in head.items() if value is not ...}
        text = f"{encode(json.dumps(head))}.{encode(json.dumps(claims))}"
        return f"{text}.{encode(self._signer.sign(text.encode(), self.private))}"

    def assertion(self, client_id: str, /, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a good assertion of *client_id*; a change to ``...`` removes a claim, and a duration is from now."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": ISSUER,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + 60,
            **changes,
        }
        made = {
            name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
            for name, value in claims.items()
            if value is not ...
        }
        return self.signed(made, **(header or {}))

    def form(self, client_id: str, /, **changes: Any) -> dict[str, str]:
        """Return the parameters that authenticate *client_id* (RFC 7523 §2.2)."""
        return {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(client_id, **changes),
        }


def give_keys(client_id: str, *keys: ClientKey, **members: Any) -> None:
    """Let an operator's client authenticate with *keys*, as the admin does. *members* stand beside them."""
    row = get_application_model().objects.get(client_id=client_id)
    metadata = {"jwks": {"keys": [key.public_jwk for key in keys]}} if keys else {}
    ClientRegistration.objects.update_or_create(
        client=row, defaults={"source": ClientSource.ELSEWHERE, "metadata": metadata | members}
    )
