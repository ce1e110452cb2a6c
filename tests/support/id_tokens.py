"""ID tokens made by hand, right in every respect but the one that a test breaks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from django_lazyauth.openid.descriptor import descriptor_from_settings
from django_lazyauth.openid.key_set import KeySet
from django_lazyauth.openid.verify import verify_id_token

NOW = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)
NONCE = "nonce-of-this-flow"
ISSUER = "https://id.example"
PRIVATE_KEYS = {
    **{
        name: rsa.generate_private_key(65537, 2048)
        for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    },
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
OTHER_KEY = rsa.generate_private_key(65537, 2048)

PROVIDER = descriptor_from_settings("acme", {"issuer": ISSUER, "client_id": "us", "client_secret": "s"})
TENANTS = descriptor_from_settings(
    "tenants",
    {
        "issuer": "https://login.example/{tid}/v2.0",
        "openid_configuration": "https://login.example/common/.well-known/openid-configuration",
        "client_id": "us",
    },
)


def public_jwk(key, kid, algorithm, **members):
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", "alg": algorithm, **members}


JWKS = {"keys": [public_jwk(key, f"kid-{name}", name) for name, key in PRIVATE_KEYS.items()]}
KEYS = KeySet.from_jwks(JWKS)


def good_claims(**changes):
    """Return valid claims; a change to ``...`` removes one."""
    now = int(NOW.timestamp())
    claims = {
        "iss": ISSUER,
        "sub": "person-1",
        "aud": "us",
        "iat": now,
        "exp": now + 300,
        "nonce": NONCE,
        "email": "person@acme.example",
        "email_verified": True,
        "name": "Person One",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def sign(claims, *, algorithm="RS256", key=None, header=None):
    """Sign whatever it is, without the checks that a library makes for honest senders."""
    head = {"typ": "JWT", "alg": algorithm, "kid": f"kid-{algorithm}", **(header or {})}
    head = {name: value for name, value in head.items() if value is not ...}
    return sign_raw(json.dumps(head), json.dumps(claims), algorithm=algorithm, key=key)


def sign_raw(header, payload, *, algorithm="RS256", key=None):
    signed = f"{encode(header)}.{encode(payload)}"
    maker = jwt.get_algorithm_by_name(algorithm)
    return f"{signed}.{encode(maker.sign(signed.encode(), key or PRIVATE_KEYS.get(algorithm)))}"


def encode(raw):
    raw = raw if isinstance(raw, bytes) else raw.encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def verify(token, *, provider=PROVIDER, keys=KEYS, nonce=NONCE, now=NOW, **options):
    return verify_id_token(token, provider=provider, keys=keys, nonce=nonce, now=now, **options)


def unsigned(**claims) -> str:
    """Return the shape of an ID token with *claims*: what was checked long ago and is only looked at."""
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
