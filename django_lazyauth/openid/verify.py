"""Is this ID token valid, and who is it about?

Keys in, identity out: the one pipeline for every provider (OpenID Connect Core §3.1.3.7). It imports neither
Django nor HTTP, fetches nothing, stores nothing and logs nothing. Whatever it is given, it returns a
:class:`VerifiedIdentity` or raises :class:`IdTokenRejected`.

Not here: where keys come from, whether the nonce was ours to expect, whom the identity belongs to.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from django_lazyauth.errors import LazyAuthError

from .descriptor import IDENTIFIER_LIMIT, ProviderDescriptor

#: Characters of a token in compact form. Real ones have one to four thousand.
TOKEN_LIMIT: Final = 16 * 1024
#: Bytes and keys of a key set.
KEY_SET_LIMIT: Final = 32 * 1024
KEY_LIMIT: Final = 20
#: Seconds by which two honest clocks may differ.
LEEWAY: Final = 60
#: Seconds since ``iat``: an ID token is used at once, so an old one was kept by somebody.
MAX_AGE: Final = 10 * 60
#: Characters.
EMAIL_LIMIT: Final = 256
NAME_LIMIT: Final = 128
#: Levels of arrays and objects in a token.
JSON_DEPTH_LIMIT: Final = 16
#: 9999-12-31: the last second that a datetime can hold.
LAST_SECOND: Final = 253_402_300_799
#: Bits of an RSA modulus: below is weak, above is a way to keep us busy.
RSA_BITS: Final = range(2048, 8193)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: Header parameters that bring or point to a key (OpenID Connect Core §2: SHOULD NOT be used), or that change
#: what the signature means (RFC 7515 §4.1.11, RFC 7797).
_REFUSED_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
#: kty and crv that an algorithm signs with (RFC 7518 §3.1, RFC 8037 §3.1). Nothing else is ever tried.
_KEY_OF: Final = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
_ALGORITHMS: Final = {name: get_default_algorithms()[name] for name in _KEY_OF}
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
#: A tenant, as it may stand in an issuer: nothing that opens a path, a query or another placeholder.
_TENANT: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,128}")
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: Claims that are read here or are of no use to a host.
_CONSUMED: Final = frozenset(
    {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce"}
    | {"at_hash", "c_hash", "s_hash", "auth_time", "amr", "acr"}
)


class Reason(StrEnum):
    """Which check failed: a word for logs and pages, never what the token said."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    HEADER = "header"
    ALGORITHM = "alg"
    TYPE = "typ"
    KID = "kid"
    UNKNOWN_KID = "unknown_kid"
    SIGNATURE = "signature"
    ISSUER = "iss"
    TENANT = "tenant"
    SUBJECT = "sub"
    AUDIENCE = "aud"
    AUTHORIZED_PARTY = "azp"
    EXPIRED = "exp"
    ISSUED_AT = "iat"
    TOO_OLD = "too_old"
    NOT_YET = "nbf"
    NONCE = "nonce"
    AUTH_TIME = "auth_time"
    NOT_FRESH = "not_fresh"
    EMAIL = "email"
    EMAIL_VERIFIED = "email_verified"
    NAME = "name"
    UNCLEAN = "unclean"
    KEY_SET = "key_set"


class IdTokenRejected(LazyAuthError):
    """A check failed; ``reason`` names which one."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


class KeySetInvalid(LazyAuthError):
    """A document is not a key set we would use; ``reason`` is a short word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Profile:
    """The part of an identity that may also come from a userinfo endpoint."""

    email: str = ""
    email_verified: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """Who a valid token is about.

    Attributes:
        issuer: Exactly as the token has it.
        subject: The issuer's ``sub``. It is unique within the issuer, not across the tenants of a provider.
        tenant: What filled the placeholders of the provider's issuer, joined by ``:``; else empty.
        email_verified: False where the provider's word about it means nothing.
        auth_time: Aware; when the person last proved themselves there, where the token says so.
        amr: Authentication methods (RFC 8176).
        acr: Authentication context class.
        claims: The other claims. JSON, no tokens.
    """

    issuer: str
    subject: str
    tenant: str
    profile: Profile
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def email(self) -> str:
        return self.profile.email

    @property
    def email_verified(self) -> bool:
        return self.profile.email_verified

    @property
    def name(self) -> str:
        return self.profile.name


@dataclass(frozen=True, slots=True)
class Key:
    """One public key of a key set, and what its owner restricts it to."""

    kid: str | None
    algorithm: str | None
    kind: tuple[str, str]
    issuer: str | None
    public: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The signature keys of one provider (RFC 7517 §5)."""

    keys: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def from_jwks(cls, document: object) -> KeySet:
        """Read a JWK set. Keys we cannot or must not use are skipped, so the result may be empty.

        Args:
            document: The JSON object, at most 32 KiB and 20 keys.

        Raises:
            KeySetInvalid: Not a key set, or too large.
        """
        if not isinstance(document, Mapping) or not isinstance(members := document.get("keys"), list):
            raise KeySetInvalid("not_a_key_set")
        if len(members) > KEY_LIMIT:
            raise KeySetInvalid("too_many_keys")
        try:
            if len(json.dumps(members)) > KEY_SET_LIMIT:
                raise KeySetInvalid("too_large")
        except (TypeError, ValueError, RecursionError):
            raise KeySetInvalid("not_a_key_set") from None
        return cls(tuple(key for member in members if (key := _read_key(member)) is not None))

    def select(self, kid: str | None, algorithm: str) -> Key:
        """Return the one key for this header (RFC 7515 §4.1.4).

        Raises:
            IdTokenRejected: ``kid`` needed and missing or ambiguous, ``unknown_kid``, or ``alg``: the key is
                not one that this algorithm signs with.
        """
        if kid is None and len(self.keys) > 1:
            raise IdTokenRejected(Reason.KID)
        named = self.keys if kid is None else tuple(key for key in self.keys if key.kid == kid)
        if not named:
            raise IdTokenRejected(Reason.UNKNOWN_KID)
        fitting = [
            key for key in named if key.kind == _KEY_OF[algorithm] and key.algorithm in {None, algorithm}
        ]
        if not fitting:
            raise IdTokenRejected(Reason.ALGORITHM)
        if len(fitting) > 1:
            raise IdTokenRejected(Reason.KID)
        return fitting[0]


def verify_id_token(
    token: str,
    *,
    provider: ProviderDescriptor,
    keys: KeySet,
    nonce: str | None,
    now: datetime,
    max_age: int | None = None,
) -> VerifiedIdentity:
    """Check *token* and return who it is about (OpenID Connect Core §3.1.3.7).

    Args:
        token: The ID token in JWS compact form, at most 16 KiB.
        provider: Whose token it has to be, and what is expected of it.
        keys: The provider's keys. The caller loaded them; nothing is fetched here.
        nonce: The value sent in the request; ``None`` only where none was sent.
        now: Aware time of receipt. ``exp``, ``nbf`` and a future ``iat`` get 60 s of leeway.
        max_age: Seconds since the person last proved themselves, if that was asked for.

    Raises:
        IdTokenRejected: A check failed; ``reason`` names which one.
    """
    header, claims, signed, signature = _decode(token)
    algorithm, kid = _check_header(header, provider)
    key = keys.select(kid, algorithm)
    if not _ALGORITHMS[algorithm].verify(signed, key.public, signature):
        raise IdTokenRejected(Reason.SIGNATURE)
    check_clean(claims)
    if _LOGOUT_EVENT in _mapping(claims.get("events")):
        raise IdTokenRejected(Reason.TYPE)
    issuer, tenant = _check_issuer(claims, provider, key)
    _check_audience(claims, provider.client_id)
    issued_at, expires_at = _check_times(claims, now.timestamp())
    _check_nonce(claims, nonce)
    return VerifiedIdentity(
        issuer=issuer,
        tenant=tenant,
        subject=_required_text(claims.get("sub"), IDENTIFIER_LIMIT, Reason.SUBJECT),
        profile=read_profile(claims, provider),
        issued_at=issued_at,
        expires_at=expires_at,
        auth_time=_check_auth_time(claims, now.timestamp(), max_age),
        amr=_methods(claims.get("amr")),
        acr=_context_class(claims.get("acr")),
        claims={name: value for name, value in claims.items() if name not in _CONSUMED},
    )


def read_unverified(token: str) -> Mapping[str, Any]:
    """Return the claims of a token that nobody has checked: good for choosing whose check it has to pass.

    Raises:
        IdTokenRejected: ``too_large``, ``malformed`` or ``unclean``.
    """
    _, claims, _, _ = _decode(token)
    check_clean(claims)
    return claims


def read_profile(claims: Mapping[str, Any], provider: ProviderDescriptor) -> Profile:
    """Return e-mail address and name from an ID token or a userinfo answer (OpenID Connect Core §5.1).

    Raises:
        IdTokenRejected: ``email``, ``email_verified`` or ``name`` is too long or of the wrong type.
    """
    names = provider.claims
    email = _optional_text(claims.get(names.email), EMAIL_LIMIT, Reason.EMAIL)
    verified = claims.get(names.email_verified)
    if verified is not None and not isinstance(verified, bool):
        # Some providers send the word. Anything else ("1", "TRUE", 1) is nobody's promise.
        if verified not in ("true", "false"):
            raise IdTokenRejected(Reason.EMAIL_VERIFIED)
        verified = verified == "true"
    return Profile(
        email=email,
        email_verified=bool(email and verified and provider.states_email_verified),
        name=_optional_text(claims.get(names.name), NAME_LIMIT, Reason.NAME),
    )


def matches_issuer(template: str, other: str) -> bool:
    """Say whether *other* names the same issuer as *template*, up to the names of their placeholders.

    Providers write ``{tenantid}`` in their metadata for what their tokens call ``tid``.
    """
    return _PLACEHOLDER.sub("{}", template) == _PLACEHOLDER.sub("{}", other)


# --- The envelope (RFC 7515) ------------------------------------------------------------------------------


def _decode(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    if not isinstance(token, str):
        raise IdTokenRejected(Reason.MALFORMED)
    if len(token) > TOKEN_LIMIT:
        raise IdTokenRejected(Reason.TOO_LARGE)
    parts = token.split(".")
    if len(parts) != 3:
        raise IdTokenRejected(Reason.MALFORMED)
    header, payload, signature = (_base64url(part) for part in parts)
    return _json_object(header), _json_object(payload), f"{parts[0]}.{parts[1]}".encode(), signature


def _base64url(text: str) -> bytes:
    """Decode strictly: the standard library skips what is not of the alphabet."""
    if not _BASE64URL.fullmatch(text):
        raise IdTokenRejected(Reason.MALFORMED)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise IdTokenRejected(Reason.MALFORMED) from None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        raise IdTokenRejected(Reason.MALFORMED) from None
    if not isinstance(value, dict):
        raise IdTokenRejected(Reason.MALFORMED)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a member that is there twice: two readers would see two tokens (RFC 7519 §4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


#: Made once: ``json.loads`` with a hook makes one per call.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique_members)


def _check_header(header: Mapping[str, Any], provider: ProviderDescriptor) -> tuple[str, str | None]:
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise IdTokenRejected(Reason.HEADER)
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        # An access token or logout token of the same issuer is signed by the same key (RFC 8725 §3.11).
        raise IdTokenRejected(Reason.TYPE)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in provider.algorithms or algorithm not in _KEY_OF:
        raise IdTokenRejected(Reason.ALGORITHM)
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise IdTokenRejected(Reason.KID)
    return algorithm, kid


# --- Keys (RFC 7517) --------------------------------------------------------------------------------------


def is_public(member: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether a member of a key set may be used: a published private key proves nothing any more."""
    return isinstance(member, Mapping) and "d" not in member and "k" not in member


def _read_key(member: object) -> Key | None:
    """Return the key, or ``None`` for one that is not a public signature key of a kind we know."""
    if not is_public(member):
        return None
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, algorithm, issuer = (_text_or_none(member.get(name)) for name in ("kid", "alg", "issuer"))
    kind = (member.get("kty"), "" if member.get("kty") == "RSA" else member.get("crv"))
    numbers = tuple(member.get(name) for name in {"RSA": "ne", "EC": "xy", "OKP": "x"}.get(str(kind[0]), ""))
    if kind not in _KEY_OF.values() or not all(isinstance(number, str) for number in numbers):
        return None
    public = _parse_key(str(kind[0]), numbers)
    return None if public is None else Key(kid, algorithm, (str(kind[0]), str(kind[1])), issuer, public)


@lru_cache(maxsize=256)
def _parse_key(kty: str, numbers: tuple[str, ...]) -> PublicKey | None:
    """Parse a key once per content; checking that it is on its curve costs more than a signature."""
    try:
        raw = [_base64url(number) for number in numbers]
        first, *rest = (int.from_bytes(number, "big") for number in raw)
        if kty == "RSA":
            if first.bit_length() not in RSA_BITS or rest[0].bit_length() > 32:
                return None
            return rsa.RSAPublicNumbers(e=rest[0], n=first).public_key()
        if kty == "EC":
            return ec.EllipticCurvePublicNumbers(first, rest[0], ec.SECP256R1()).public_key()
        return ed25519.Ed25519PublicKey.from_public_bytes(raw[0])
    except (IdTokenRejected, ValueError, UnsupportedAlgorithm):
        return None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


# --- Claims (OpenID Connect Core §2) ----------------------------------------------------------------------


def _check_issuer(claims: Mapping[str, Any], provider: ProviderDescriptor, key: Key) -> tuple[str, str]:
    """Return issuer and tenant. A tenant speaks for itself only (I19)."""
    tenants: list[str] = []
    expected = provider.issuer
    for name in provider.placeholders:
        value = claims.get(name)
        if not isinstance(value, str) or not _TENANT.fullmatch(value):
            raise IdTokenRejected(Reason.TENANT)
        tenants.append(value)
        expected = expected.replace("{" + name + "}", value)
    issuer = _required_text(claims.get("iss"), IDENTIFIER_LIMIT, Reason.ISSUER)
    if issuer != expected:
        raise IdTokenRejected(Reason.ISSUER)
    # A provider with many tenants may say of a key which of them it signs for.
    if key.issuer is not None and key.issuer != issuer and not matches_issuer(provider.issuer, key.issuer):
        raise IdTokenRejected(Reason.ISSUER)
    return issuer, ":".join(tenants)


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        raise IdTokenRejected(Reason.AUDIENCE)
    if client_id not in audiences:
        raise IdTokenRejected(Reason.AUDIENCE)
    if ("azp" in claims or len(audiences) > 1) and claims.get("azp") != client_id:
        raise IdTokenRejected(Reason.AUTHORIZED_PARTY)


def _check_times(claims: Mapping[str, Any], now: float) -> tuple[datetime, datetime]:
    expires_at = _seconds(claims.get("exp"), Reason.EXPIRED)
    issued_at = _seconds(claims.get("iat"), Reason.ISSUED_AT)
    if now >= expires_at + LEEWAY:
        raise IdTokenRejected(Reason.EXPIRED)
    if issued_at > now + LEEWAY:
        raise IdTokenRejected(Reason.ISSUED_AT)
    if now - issued_at > MAX_AGE:
        raise IdTokenRejected(Reason.TOO_OLD)
    if "nbf" in claims and _seconds(claims["nbf"], Reason.NOT_YET) > now + LEEWAY:
        raise IdTokenRejected(Reason.NOT_YET)
    return datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)


def _check_auth_time(claims: Mapping[str, Any], now: float, max_age: int | None) -> datetime | None:
    value = claims.get("auth_time")
    if value is None:
        if max_age is not None:
            # It is required once max_age was sent (§3.1.2.1); silence is not freshness.
            raise IdTokenRejected(Reason.NOT_FRESH)
        return None
    auth_time = _seconds(value, Reason.AUTH_TIME)
    if auth_time > now + LEEWAY:
        raise IdTokenRejected(Reason.AUTH_TIME)
    if max_age is not None and now - auth_time > max_age + LEEWAY:
        raise IdTokenRejected(Reason.NOT_FRESH)
    return datetime.fromtimestamp(auth_time, UTC)


def _check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    if nonce is None:
        return
    value = claims.get("nonce")
    if not isinstance(value, str) or not hmac.compare_digest(value.encode(), nonce.encode()):
        raise IdTokenRejected(Reason.NONCE)


def _seconds(value: object, reason: Reason) -> float:
    """Return a NumericDate (RFC 7519 §2) that a clock could show."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LAST_SECOND:
        raise IdTokenRejected(reason)
    return value


def _required_text(value: object, limit: int, reason: Reason) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise IdTokenRejected(reason)
    return value


def _optional_text(value: object, limit: int, reason: Reason) -> str:
    return "" if value is None or value == "" else _required_text(value, limit, reason)


def _methods(value: object) -> tuple[str, ...]:
    """Return ``amr``; a provider's invention there is nothing to refuse a person for."""
    if not isinstance(value, list) or len(value) > 16:
        return ()
    return tuple(method for method in value if isinstance(method, str) and 0 < len(method) <= 64)


def _context_class(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= IDENTIFIER_LIMIT else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def check_clean(value: Any) -> None:
    """Refuse JSON that a database or an encoder would choke on: NUL, lone surrogates, infinity, deep nesting.

    Raises:
        IdTokenRejected: ``unclean``.
    """
    level: Iterable[Any] = [value]
    for _ in range(JSON_DEPTH_LIMIT):
        following: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                following += [*node.keys(), *node.values()]
            elif isinstance(node, list):
                following += node
            elif not _is_clean(node):
                raise IdTokenRejected(Reason.UNCLEAN)
        if not following:
            return
        level = following
    raise IdTokenRejected(Reason.UNCLEAN)


def _is_clean(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or _SURROGATE.search(value) is None)
    return not isinstance(value, float) or math.isfinite(value)
