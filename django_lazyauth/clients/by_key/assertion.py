"""What a client assertion says (RFC 7523 §3, as draft-ietf-oauth-rfc7523bis tightens it).

Everything is checked here that needs neither the client nor a key. So nothing is fetched for an assertion that cannot
be good. Pure: nothing is read, fetched or logged.

Not here: the audience and the signature (:mod:`.prove`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django_lazyauth.openid.jose import (
    LEEWAY,
    Decoded,
    Reason,
    TokenRejected,
    audiences,
    check_clean,
    check_header,
    decode,
    required_text,
    seconds,
)

#: The ``client_assertion_type`` (RFC 7523 §2.2).
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: What a client may sign with. ``Ed25519`` is the newer name of ``EdDSA`` with that curve (RFC 9864 §2.2).
ALGORITHMS: Final = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
#: What ``typ`` may be, in lower case. Libraries of today send ``JWT`` or none.
TYPES: Final = frozenset({"client-authentication+jwt", "application/client-authentication+jwt", "jwt"})
#: Characters of ``jti``, and of a client id.
TEXT_LIMIT: Final = 255
#: Seconds that ``exp`` may be ahead. Authlib asks for an hour.
LONGEST_LIFETIME: Final = 3600


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that could be good. Its audience and its signature were not checked.

    Attributes:
        client_id: ``iss`` and ``sub``.
        token_id: ``jti``.
        key_id: ``kid``; ``None`` where the header names no key.
    """

    client_id: str
    token_id: str = field(repr=False)
    audience: str
    expires_at: datetime
    algorithm: str
    key_id: str | None
    decoded: Decoded = field(repr=False)


def read_assertion(
    text: str, now: datetime, *, algorithms: tuple[str, ...] = ALGORITHMS, takes_list: bool = True
) -> Assertion:
    """Return what *text* says.

    Args:
        text: A JWT in compact form, at most 16 KiB.
        now: Aware time of receipt. ``exp``, ``iat`` and ``nbf`` get 60 s of leeway.
        algorithms: Those that it may be signed with.
        takes_list: Whether ``aud`` may be an array of one (not with FAPI 2.0 Security Profile §5.3.2.1).

    Raises:
        TokenRejected: It can be no client assertion; ``reason`` names the check.
    """
    decoded = decode(text)
    algorithm, key_id = check_header(
        decoded.header, algorithms=algorithms, types=TYPES, default_type="client-authentication+jwt"
    )
    claims = decoded.claims
    check_clean(claims)
    client_id = required_text(claims.get("iss"), TEXT_LIMIT, Reason.ISSUER)
    if claims.get("sub") != client_id:
        raise TokenRejected(Reason.SUBJECT)
    audience = audiences(claims.get("aud"))
    if len(audience) != 1 or not (takes_list or isinstance(claims["aud"], str)):
        # A second server could use it there, or have got it from there (I25).
        raise TokenRejected(Reason.AUDIENCE)
    return Assertion(
        client_id=client_id,
        token_id=required_text(claims.get("jti"), TEXT_LIMIT, Reason.JWT_ID),
        audience=audience[0],
        expires_at=_expiry(claims, now.timestamp()),
        algorithm=algorithm,
        key_id=key_id,
        decoded=decoded,
    )


def _expiry(claims: Mapping[str, Any], now: float) -> datetime:
    """Return ``exp`` of an assertion that is valid at *now*. ``iat`` and ``nbf`` may be missing (RFC 7523 §3)."""
    expires_at = seconds(claims.get("exp"), Reason.EXPIRED)
    if not now - LEEWAY < expires_at <= now + LONGEST_LIFETIME + LEEWAY:
        raise TokenRejected(Reason.EXPIRED)
    for name, reason in (("iat", Reason.ISSUED_AT), ("nbf", Reason.NOT_YET)):
        if name in claims and seconds(claims[name], reason) > now + LEEWAY:
            raise TokenRejected(reason)
    return datetime.fromtimestamp(expires_at, UTC)
