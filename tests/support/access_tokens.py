"""Access tokens made by hand, right in every respect but the one that a test breaks."""

from __future__ import annotations

from datetime import UTC, datetime

from django_lazyauth.openid.access_token import verify_access_token
from tests.support.id_tokens import KEYS, sign

NOW = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)
ISSUER = "https://id.example"
API = "https://api.example/v1"
SESSION = "01980000-0000-7000-8000-000000000001"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


def good_claims(**changes):
    """Return valid claims; a change to ``...`` removes one."""
    now = int(NOW.timestamp())
    claims = {
        "iss": ISSUER,
        "sub": "person-1",
        "aud": API,
        "client_id": "client-1",
        "iat": now,
        "exp": now + 600,
        "jti": "token-1",
        "scope": "tools:read tools:write",
        "tsid": SESSION,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def made(claims=None, *, algorithm="RS256", key=None, header=None):
    """Return a token of these claims, with ``typ`` of an access token unless *header* says otherwise."""
    return sign(
        good_claims() if claims is None else claims,
        algorithm=algorithm,
        key=key,
        header={"typ": "at+jwt", **(header or {})},
    )


def check(token, *, issuer=ISSUER, audience=API, keys=KEYS, algorithms=ALGORITHMS, now=NOW):
    return verify_access_token(
        token,
        issuer=issuer,
        accepts_audience=lambda one: one == audience,
        keys=keys,
        algorithms=algorithms,
        now=now,
    )
