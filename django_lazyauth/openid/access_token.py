"""Is this a valid access token of that issuer, meant for us, and what does it allow?

Keys in, token out: the offline check of a resource server (RFC 9068 §4). It imports neither Django nor HTTP,
fetches nothing, stores nothing and logs nothing. Other tokens that the same keys sign, such as ID tokens and logout
tokens, are refused by their ``typ`` (RFC 8725 §3.11).

Not here: whether the token was revoked.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from .jose import (
    LEEWAY,
    TOKEN_LIMIT,
    Reason,
    TokenRejected,
    audiences,
    check_clean,
    check_header,
    check_times,
    context_class,
    decode,
    methods,
    required_text,
    seconds,
)
from .key_set import KeySet, check_signature
from .provider_kinds import IDENTIFIER_LIMIT

#: What ``typ`` may be (RFC 9068 §4), in lower case: media types have no case.
TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that passed every check.

    Attributes:
        issuer: Exactly as the token has it.
        subject: A user of the issuer, or the client itself.
        client_id: The client that it was issued to.
        audience: The resources that it is for, in the token's order.
        scopes: Granted to it.
        token_id: ``jti``, unique within the issuer.
        session_id: ``tsid``, the sign-in that it came from; ``None`` for a client that acts for itself.
        auth_time: When the person signed in, as an aware time; ``None`` where it is not known, as the next two.
        amr: How they signed in (RFC 8176).
        acr: How strongly: a context class of the issuer.
        contained_scopes: Scopes that those of the token contain, by the hierarchy of the resource server.
        claims: All claims, unchanged: JSON.
    """

    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scopes: frozenset[str]
    issued_at: datetime
    expires_at: datetime
    token_id: str
    session_id: UUID | None
    claims: Mapping[str, Any] = field(repr=False)
    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    contained_scopes: frozenset[str] = frozenset()

    @property
    def tsid(self) -> UUID | None:
        """The session, by the name of its claim."""
        return self.session_id

    @property
    def is_bound(self) -> bool:
        """Whether the token is worth nothing without a key, of whichever kind (RFC 7800 §3)."""
        return "cnf" in self.claims

    @property
    def jkt(self) -> str:
        """Thumbprint of the key that each use is proved with (RFC 9449 §6.1); empty where there is none."""
        confirmation = self.claims.get("cnf")
        found = (
            confirmation.get("jkt") if isinstance(confirmation, Mapping) and len(confirmation) == 1 else None
        )
        return found if isinstance(found, str) else ""

    @property
    def is_of_client(self) -> bool:
        """Whether the client acts for itself, not for a user (RFC 9068 §2.2)."""
        return self.subject == self.client_id and self.session_id is None

    def allow_scopes(self, scopes: list[str] | tuple[str, ...] | frozenset[str]) -> bool:
        """Say whether the token is good for all of *scopes*; the name that permission classes call."""
        return set(scopes) <= self.scopes | self.contained_scopes


def verify_access_token(
    token: str,
    *,
    issuer: str,
    accepts_audience: Callable[[str], bool],
    keys: KeySet,
    algorithms: Container[str],
    now: datetime,
) -> AccessToken:
    """Check *token* and return its content (RFC 9068 §4).

    Args:
        token: In JWS compact form, at most 16 KiB.
        issuer: The issuer that it must name; compared exactly.
        accepts_audience: Returns whether one audience names us.
        keys: The issuer's keys. The caller loaded them.
        algorithms: The accepted ones. The token's header cannot add one.
        now: Aware time of receipt. ``exp``, ``nbf`` and a future ``iat`` get 60 s of leeway.

    Raises:
        TokenRejected: A check failed; ``reason`` names which one: ``unknown_kid`` for tokens of *issuer* only.
    """
    decoded = decode(token)
    claims = decoded.claims
    algorithm, kid = check_header(decoded.header, algorithms=algorithms, types=TYPES)
    if claims.get("iss") != issuer:
        raise TokenRejected(Reason.ISSUER)
    check_signature(decoded, keys.select(kid, algorithm), algorithm)
    check_clean(claims)
    return _read(claims, accepts_audience, now)


def _read(claims: Mapping[str, Any], accepts_audience: Callable[[str], bool], now: datetime) -> AccessToken:
    issued_at, expires_at = check_times(claims, now.timestamp())
    return AccessToken(
        issuer=claims["iss"],
        subject=required_text(claims.get("sub"), IDENTIFIER_LIMIT, Reason.SUBJECT),
        client_id=required_text(claims.get("client_id"), IDENTIFIER_LIMIT, Reason.CLIENT_ID),
        audience=_check_audience(claims.get("aud"), accepts_audience),
        scopes=_scopes(claims.get("scope")),
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=required_text(claims.get("jti"), IDENTIFIER_LIMIT, Reason.JWT_ID),
        session_id=_session_id(claims.get("tsid")),
        claims=claims,
        auth_time=_auth_time(claims.get("auth_time"), now),
        amr=methods(claims.get("amr")),
        acr=context_class(claims.get("acr")),
    )


def _check_audience(value: object, accepts: Callable[[str], bool]) -> tuple[str, ...]:
    audience = audiences(value)
    if not any(accepts(item) for item in audience):
        raise TokenRejected(Reason.AUDIENCE)
    return audience


def _scopes(value: object) -> frozenset[str]:
    """Return the scopes of a token (RFC 8693 §4.2); a token without scopes allows nothing that needs one."""
    if value is None:
        return frozenset()
    return frozenset(required_text(value, TOKEN_LIMIT, Reason.SCOPE).split(" ")) - {""}


def _session_id(value: object) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(required_text(value, IDENTIFIER_LIMIT, Reason.SESSION))
    except ValueError:
        raise TokenRejected(Reason.SESSION) from None


def _auth_time(value: object, now: datetime) -> datetime | None:
    """Return when the person signed in. A time to come would be recent for ever, so it counts as unknown."""
    try:
        found = seconds(value, Reason.AUTH_TIME)
    except TokenRejected:
        return None
    return datetime.fromtimestamp(found, UTC) if found <= now.timestamp() + LEEWAY else None
