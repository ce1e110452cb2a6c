"""Is this a DPoP proof for this request (RFC 9449 §4.3)?

Pure: neither Django nor HTTP is imported, nothing is fetched, stored or logged.

Not here: whether it was used before (each server remembers that in its own way), and whose key it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from django_lazyauth.openid.jose import (
    Reason,
    TokenRejected,
    check_clean,
    check_header,
    decode,
    required_text,
    seconds,
)
from django_lazyauth.openid.key_set import check_signature

from . import nonce as nonces
from .key import read_own_key
from .target import is_target

#: What a client may sign with. ``Ed25519`` is the newer name of ``EdDSA`` with that curve (RFC 9864 §2.2).
ALGORITHMS: Final = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
#: What ``typ`` is, in lower case: no other kind of JWT passes as a proof.
TYPE: Final = "dpop+jwt"
#: Characters of a proof. One with an RSA key of 8192 bits has about 4,000.
LIMIT: Final = 8 * 1024
#: Characters of ``jti`` and of a nonce.
TEXT_LIMIT: Final = 255
#: Seconds by which ``iat`` may differ from our clock (MCP SEP-1932).
WINDOW: Final = 300

#: As ``conf`` has it, which a pure module does not import.
NoncePolicy = Literal["stale", "always"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proof has to be for.

    Attributes:
        method: Of the request.
        url: Of the request, absolute, as clients know it.
        access_token: The token that the proof comes with at a resource; ``None`` at the token endpoint.
        nonce_policy: Whether every proof needs a nonce, or only one whose ``iat`` is off.
        nonce_keys: Keys that nonces may have been made with.
        algorithms: Those that it may be signed with.
    """

    method: str
    url: str
    access_token: str | None = field(default=None, repr=False)
    nonce_policy: NoncePolicy = "stale"
    nonce_keys: Sequence[bytes] = field(default=(), repr=False)
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds. Whether it was used before is not known yet.

    Attributes:
        thumbprint: Of the key that signed it: the ``jkt`` of RFC 9449 §6.1.
        token_id: ``jti``, unique for this key.
        has_nonce: Whether it held a nonce of ours.
    """

    thumbprint: str
    token_id: str = field(repr=False)
    has_nonce: bool


def verify_proof(text: str, expected: Expected, now: datetime) -> Proof:
    """Check the value of a ``DPoP`` header, and return what it says.

    Args:
        text: The header. Where a request has two, servers join them with a comma, which is no proof.
        now: Aware time of receipt.

    Raises:
        TokenRejected: It does not hold; ``reason`` names the check. ``nonce``: all else holds, and it needs one.
    """
    decoded = decode(text, limit=LIMIT)
    header, claims = decoded.header, decoded.claims
    algorithm, _ = check_header(header, algorithms=expected.algorithms, types={TYPE}, brings_key=True)
    key, thumbprint = read_own_key(header.get("jwk"), algorithm)
    check_signature(decoded, key, algorithm)
    check_clean(claims)
    token_id = required_text(claims.get("jti"), TEXT_LIMIT, Reason.JWT_ID)
    _check_request(claims, expected)
    return Proof(thumbprint, token_id, has_nonce=_is_fresh(claims, expected, now.timestamp()))


def _check_request(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("htm") != expected.method:
        raise TokenRejected(Reason.HTTP_METHOD)
    uri = claims.get("htu")
    if not isinstance(uri, str) or not is_target(uri, expected.url):
        raise TokenRejected(Reason.HTTP_URI)
    if expected.access_token is None:
        return
    hashed, digest = claims.get("ath"), hashlib.sha256(expected.access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    if not isinstance(hashed, str) or not hmac.compare_digest(hashed.encode(), wanted.encode()):
        raise TokenRejected(Reason.ACCESS_TOKEN)


def _is_fresh(claims: Mapping[str, Any], expected: Expected, now: float) -> bool:
    """Say whether a nonce of ours shows that the proof is new (RFC 9449 §11.1). Otherwise ``iat`` has to."""
    issued_at = seconds(claims.get("iat"), Reason.ISSUED_AT)
    if "nonce" in claims:
        nonce = required_text(claims["nonce"], TEXT_LIMIT, Reason.NONCE)
        if not nonces.is_good(nonce, expected.nonce_keys, now):
            raise TokenRejected(Reason.NONCE)
        return True
    if expected.nonce_policy == "always" or abs(now - issued_at) > WINDOW:
        raise TokenRejected(Reason.NONCE)
    return False
