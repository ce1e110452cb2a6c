"""Is this ID token, logout token or UserInfo answer valid, and who is it about?

The same checks for every provider (OpenID Connect Core §3.1.3.7). This module imports neither Django nor HTTP, fetches
nothing, stores nothing and logs nothing. For every input it returns a :class:`VerifiedIdentity` or a
:class:`VerifiedLogout`, or raises :class:`IdTokenRejected`.

Not here: where keys and nonce come from, and which user has the identity.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django_lazyauth.kit.text import has_bad_characters

from .descriptor import ProviderDescriptor
from .jose import (
    CONFIGURED_TOKEN_LIMIT,
    LEEWAY,
    MAC_OF,
    TOKEN_LIMIT,
    Decoded,
    Reason,
    TokenRejected,
    audiences,
    check_header,
    check_times,
    context_class,
    decode,
    methods,
    required_text,
    seconds,
)
from .key_set import Key, KeySet, check_mac, check_signature
from .provider_kinds import IDENTIFIER_LIMIT
from .rules import Documents, Rule, find_subject, parse_path

#: The name of the error for ID tokens.
IdTokenRejected = TokenRejected

#: Seconds since ``iat``. A token is used at once, so an older one may have been stolen.
MAX_AGE: Final = 10 * 60
#: A tenant, as it may stand in an issuer: nothing that opens a path, a query or another placeholder.
_TENANT: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,128}")
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
#: What the header of an ID token may say that it is; an access token or a logout token of the same issuer is
#: signed by the same key (RFC 8725 §3.11).
_TYPES: Final = frozenset({"jwt"})
#: The same of a logout token (Back-Channel Logout 1.0 §2.4). Its event tells it from an ID token.
_LOGOUT_TYPES: Final = frozenset({"jwt", "logout+jwt"})
_SUB: Final = parse_path("sub")
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """The person that a valid token is about.

    Attributes:
        issuer: The provider's ``issuer`` with its placeholders filled, also where the token has an alias.
        issuers: The same and its aliases.
        subject: The value of the provider's rule ``subject``. It is unique within the issuer, not across the
            tenants of a provider.
        sub: The issuer's ``sub``, which a UserInfo answer must repeat (OpenID Connect Core §5.3.2).
        tenant: The values of the issuer's placeholders, joined by ``:``; empty where it has none.
        auth_time: Aware time when the person last authenticated there, if the token says so.
        amr: Authentication methods (RFC 8176).
        acr: Authentication context class.
        claims: All claims, as they are. Each that is not a field here may be odd JSON.
    """

    issuer: str
    subject: str
    sub: str
    tenant: str
    issued_at: datetime
    expires_at: datetime
    issuers: tuple[str, ...] = ()
    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedLogout:
    """Whose sessions a valid logout token ends. ``subject`` or ``sid`` is there, or both.

    Attributes:
        subject: The value of the provider's rule ``subject`` in this token; may be empty beside a ``sid``.
        tenant: As of :class:`VerifiedIdentity`.
        sid: One session at the provider; empty: all of the person.
        token_id: ``jti``. The caller takes it once.
        good_until: Aware time from which the token is refused for its age.
    """

    subject: str
    tenant: str
    sid: str
    token_id: str
    good_until: datetime


def verify_id_token(
    token: str,
    *,
    provider: ProviderDescriptor,
    keys: KeySet,
    nonce: str | None,
    now: datetime,
    max_age: int | None = None,
    is_native: bool = False,
) -> VerifiedIdentity:
    """Check *token* and return who it is about (OpenID Connect Core §3.1.3.7).

    Args:
        token: The ID token in JWS compact form, at most 64 KiB, and 16 KiB of a stranger's provider.
        provider: The provider that must have issued it.
        keys: The provider's keys. The caller loaded them; nothing is fetched here.
        nonce: The value sent in the request; ``None`` only where none was sent.
        now: Aware time of receipt. ``exp``, ``nbf`` and a future ``iat`` get 60 s of leeway.
        max_age: Most seconds since the person last authenticated, if the request had it.
        is_native: An app handed it over, so it may be for one of the provider's ``audiences``. It must hold the nonce.

    Raises:
        IdTokenRejected: A check failed; ``reason`` names which one.
    """
    decoded = decode(token, limit=_limit_of(provider))
    claims = decoded.claims
    key = _check_signature(decoded, provider, keys, _TYPES)
    if _LOGOUT_EVENT in _mapping(claims.get("events")):
        raise IdTokenRejected(Reason.TYPE)
    _check_audience(claims, provider, is_native=is_native)
    identity = _read_identity(claims, provider, key, now.timestamp(), max_age, _check_age)
    # The code of a code flow came to this browser. A token that is handed over is bound to it by the nonce alone.
    is_bound = is_native or provider.requests.nonce != "optional"
    if nonce is not None and (is_bound or claims.get("nonce") is not None):
        _check_nonce(claims, nonce, provider.people.nonce_hash if is_native else "")
    return identity


def verify_assertion(
    token: str, *, provider: ProviderDescriptor, keys: KeySet, types: Container[str], now: datetime
) -> VerifiedIdentity:
    """Check who signed *token*, that it is of one of *types* and good now, and return who it is about.

    The caller checks for whom it is, and what it is for. The client secret signs none.

    Raises:
        IdTokenRejected: A check failed; ``reason`` names which one.
    """
    decoded = decode(token, limit=TOKEN_LIMIT)
    claims = decoded.claims
    if (key := _check_signature(decoded, provider, keys, types)) is None:
        raise IdTokenRejected(Reason.ALGORITHM)
    return _read_identity(claims, provider, key, now.timestamp(), None, check_times)


def verify_logout_token(
    token: str, *, provider: ProviderDescriptor, keys: KeySet, now: datetime
) -> VerifiedLogout:
    """Check *token* as an ID token is checked, and that it is a logout token (Back-Channel Logout 1.0 §2.6).

    Args:
        token: As of :func:`verify_id_token`. It may be for one of the provider's ``audiences``.

    Raises:
        IdTokenRejected: A check failed; ``reason`` names which one.
    """
    decoded = decode(token, limit=_limit_of(provider))
    claims = decoded.claims
    key = _check_signature(decoded, provider, keys, _LOGOUT_TYPES)
    if not isinstance(_mapping(claims.get("events")).get(_LOGOUT_EVENT), Mapping):
        raise IdTokenRejected(Reason.TYPE)
    if "nonce" in claims:
        raise IdTokenRejected(Reason.NONCE)
    _check_audience(claims, provider, is_native=True)
    _, tenant = _check_issuer(claims, provider, key)
    issued_at, expires_at = _check_age(claims, now.timestamp())
    token_id = required_text(claims.get("jti"), IDENTIFIER_LIMIT, Reason.JWT_ID)
    if has_bad_characters(token_id):
        raise IdTokenRejected(Reason.JWT_ID)
    subject, sid = find_subject(provider.subject, Documents(id_token=claims)), session_of(claims)
    if not (subject or sid) or ("sid" in claims and not sid):
        raise IdTokenRejected(Reason.SUBJECT)
    good_until = min(expires_at, issued_at + timedelta(seconds=MAX_AGE))
    return VerifiedLogout(
        subject=f"{tenant}:{subject}" if tenant and subject else subject,
        tenant=tenant,
        sid=sid,
        token_id=token_id,
        good_until=good_until,
    )


def verify_userinfo(
    token: str, *, provider: ProviderDescriptor, keys: KeySet, issuers: Container[str], now: datetime
) -> Mapping[str, Any]:
    """Check a signed UserInfo answer and return its claims (OpenID Connect Core §5.3.2).

    ``iss``, ``aud`` and the times need not be there, and are checked where they are. The caller compares ``sub``.

    Args:
        token: As of :func:`verify_id_token`.
        issuers: Those of the ID token.

    Raises:
        IdTokenRejected: A check failed; ``reason`` names which one.
    """
    decoded = decode(token, limit=_limit_of(provider))
    claims = decoded.claims
    _check_signature(decoded, provider, keys, _TYPES)
    if "iss" in claims and claims["iss"] not in issuers:
        raise IdTokenRejected(Reason.ISSUER)
    if "aud" in claims and provider.client_id not in audiences(claims["aud"]):
        raise IdTokenRejected(Reason.AUDIENCE)
    moment = int(now.timestamp())
    check_times({"exp": moment, "iat": moment, **claims}, now.timestamp())
    return claims


def _limit_of(provider: ProviderDescriptor) -> int:
    return TOKEN_LIMIT if provider.is_discovered else CONFIGURED_TOKEN_LIMIT


def session_of(claims: Mapping[str, Any]) -> str:
    """Return the usable ``sid`` of a token (Back-Channel Logout 1.0 §2.1); empty where it has none."""
    sid = claims.get("sid")
    is_usable = isinstance(sid, str) and len(sid) <= IDENTIFIER_LIMIT and not has_bad_characters(sid)
    return str(sid) if is_usable else ""


def _check_signature(
    decoded: Decoded, provider: ProviderDescriptor, keys: KeySet, types: Container[str]
) -> Key | None:
    """Return the key that signed the token; ``None`` where the client secret did."""
    algorithm, kid = check_header(
        decoded.header, algorithms=provider.algorithms, types=types, default_type="JWT"
    )
    if algorithm in MAC_OF:
        # The operator named it, and the secret is long enough for it.
        check_mac(decoded, provider.client_secret, algorithm)
        return None
    key = keys.select(kid, algorithm)
    check_signature(decoded, key, algorithm)
    return key


def _read_identity(
    claims: Mapping[str, Any],
    provider: ProviderDescriptor,
    key: Key | None,
    now: float,
    max_age: int | None,
    read_times: Callable[[Mapping[str, Any], float], tuple[datetime, datetime]],
) -> VerifiedIdentity:
    """Return who the claims are about. *read_times* checks ``iat`` and ``exp``, and returns them."""
    issuers, tenant = _check_issuer(claims, provider, key)
    issued_at, expires_at = read_times(claims, now)
    return VerifiedIdentity(
        issuer=issuers[0],
        issuers=issuers,
        tenant=tenant,
        subject=_subject(provider.subject, claims),
        sub=_subject(_SUB, claims),
        issued_at=issued_at,
        expires_at=expires_at,
        auth_time=_check_auth_time(claims, now, max_age),
        amr=methods(claims.get("amr")),
        acr=context_class(claims.get("acr")),
        claims=claims,
    )


def _check_age(claims: Mapping[str, Any], now: float) -> tuple[datetime, datetime]:
    """Return ``iat`` and ``exp`` of a token that was made just now."""
    issued_at, expires_at = check_times(claims, now)
    if now - issued_at.timestamp() > MAX_AGE:
        raise IdTokenRejected(Reason.TOO_OLD)
    return issued_at, expires_at


def read_unverified(token: str) -> Mapping[str, Any]:
    """Return the claims of an unchecked token. Use them only to choose the provider that checks it.

    Raises:
        IdTokenRejected: ``too_large`` or ``malformed``.
    """
    return decode(token, limit=CONFIGURED_TOKEN_LIMIT).claims


def matches_issuer(template: str, other: str) -> bool:
    """Say whether *other* is the same issuer as *template*; the names of placeholders may differ.

    A provider may write ``{tenantid}`` in its metadata although the claim is called ``tid``.
    """
    return _PLACEHOLDER.sub("{}", template) == _PLACEHOLDER.sub("{}", other)


# --- Claims (OpenID Connect Core §2) ----------------------------------------------------------------------


def _check_issuer(
    claims: Mapping[str, Any], provider: ProviderDescriptor, key: Key | None
) -> tuple[tuple[str, ...], str]:
    """Return the names of the issuer and the tenant. A tenant can issue tokens for its own issuer only (I19)."""
    tenants: list[str] = []
    expected = provider.issuers
    for name in provider.placeholders:
        value = claims.get(name)
        if not isinstance(value, str) or not _TENANT.fullmatch(value):
            raise IdTokenRejected(Reason.TENANT)
        tenants.append(value)
        expected = tuple(template.replace("{" + name + "}", value) for template in expected)
    issuer = required_text(claims.get("iss"), IDENTIFIER_LIMIT, Reason.ISSUER)
    if issuer not in expected:
        raise IdTokenRejected(Reason.ISSUER)
    # A provider with many tenants may publish which tenant a key signs for.
    owner = None if key is None else key.issuer
    is_shared = owner is None or any(matches_issuer(name, owner) for name in provider.issuers)
    if not is_shared and owner not in expected:
        raise IdTokenRejected(Reason.ISSUER)
    return expected, ":".join(tenants)


def _subject(rule: Rule, claims: Mapping[str, Any]) -> str:
    subject = find_subject(rule, Documents(id_token=claims))
    if not subject:
        raise IdTokenRejected(Reason.SUBJECT)
    return subject


def _check_audience(claims: Mapping[str, Any], provider: ProviderDescriptor, *, is_native: bool) -> None:
    """Of several audiences the one that the token was issued to has to be ours (OpenID Connect Core §3.1.3.7)."""
    given = audiences(claims.get("aud"))
    ours = (provider.client_id, *(provider.people.audiences if is_native else ()))
    if not any(client_id in given for client_id in ours):
        raise IdTokenRejected(Reason.AUDIENCE)
    parties = (provider.client_id, *provider.people.authorized_parties)
    if ("azp" in claims or len(given) > 1) and claims.get("azp") not in parties:
        raise IdTokenRejected(Reason.AUTHORIZED_PARTY)


def _check_auth_time(claims: Mapping[str, Any], now: float, max_age: int | None) -> datetime | None:
    """Return when the person authenticated there. Where nobody asked, a value that is no such time is left out."""
    value = claims.get("auth_time")
    if value is None:
        if max_age is not None:
            # auth_time is required if max_age was sent (§3.1.2.1).
            raise IdTokenRejected(Reason.NOT_FRESH)
        return None
    try:
        auth_time = seconds(value, Reason.AUTH_TIME)
        if auth_time > now + LEEWAY:
            raise IdTokenRejected(Reason.AUTH_TIME)
    except TokenRejected:
        if max_age is not None:
            raise
        return None
    if max_age is not None and now - auth_time > max_age + LEEWAY:
        raise IdTokenRejected(Reason.NOT_FRESH)
    return datetime.fromtimestamp(auth_time, UTC)


def _check_nonce(claims: Mapping[str, Any], nonce: str, nonce_hash: str) -> None:
    value = claims.get("nonce")
    accepted = [nonce, hashlib.sha256(nonce.encode()).hexdigest()] if nonce_hash == "sha256" else [nonce]
    if not isinstance(value, str) or not any(_is_equal(value, one) for one in accepted):
        raise IdTokenRejected(Reason.NONCE)


def _is_equal(value: str, other: str) -> bool:
    return hmac.compare_digest(value.encode(), other.encode())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
