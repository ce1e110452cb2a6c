"""Is this a JSON Web Token in the form that we accept, and what does it say?

A token in compact form is decoded strictly, and its header is checked (RFC 7515, RFC 8725). Neither Django nor HTTP is
imported, nothing is fetched, stored or logged. For every input the result is a value or :class:`TokenRejected`.

Not here: keys and signatures (:mod:`.key_set`), and the rules for claims (:mod:`.verify` for ID tokens,
:mod:`.access_token` for access tokens).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.text import has_bad_characters

#: Characters of a token in compact form. Real ones have one to four thousand.
TOKEN_LIMIT: Final = 16 * 1024
#: Of one that a provider signed which the operator chose. ID tokens with many groups are long.
CONFIGURED_TOKEN_LIMIT: Final = 64 * 1024
#: Seconds by which two honest clocks may differ.
LEEWAY: Final = 60
#: Characters of ``acr``.
CONTEXT_LIMIT: Final = 255
#: Levels of arrays and objects in a token.
JSON_DEPTH_LIMIT: Final = 16
#: 9999-12-31: the last second that a datetime can hold.
LAST_SECOND: Final = 253_402_300_799
#: Header parameters that bring or point to a key (OpenID Connect Core §2: SHOULD NOT be used), or that change
#: what the signature means (RFC 7515 §4.1.11, RFC 7797).
_REFUSED_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
#: kty and crv of the keys of an algorithm (RFC 7518 §3.1, RFC 8037 §3.1). No other key is tried.
KEY_OF: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    # Two names of one algorithm (RFC 9864 §2.2).
    **dict.fromkeys(("EdDSA", "Ed25519"), ("OKP", "Ed25519")),
}
#: The hashes of algorithms whose key is a secret that both sides have (RFC 7518 §3.2). None is accepted by default.
MAC_OF: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_KNOWN: Final = KEY_OF.keys() | MAC_OF.keys()
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
#: By the number of characters in the last group: the last characters that leave no unused bit set (RFC 4648 §3.5).
#: So one token has one text.
_LAST_CHARACTERS: Final = {
    0: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    1: (),
    2: "AQgw",
    3: "AEIMQUYcgkosw048",
}


class Reason(StrEnum):
    """The check that failed: a word for logs and pages, never content of the token."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    ENCRYPTED = "encrypted"
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
    CLIENT_ID = "client_id"
    JWT_ID = "jti"
    SCOPE = "scope"
    SESSION = "tsid"
    REVOKED = "revoked"
    METHOD = "method"
    HTTP_METHOD = "htm"
    HTTP_URI = "htu"
    ACCESS_TOKEN = "ath"
    BOUND = "cnf"
    USED = "used"
    UNCLEAN = "unclean"
    KEY_SET = "key_set"


class TokenRejected(LazyAuthError):
    """A check failed; ``reason`` names which one."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


# --- The envelope (RFC 7515) ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decoded:
    """A token in its parts. Nothing of it was checked.

    Attributes:
        signed: The bytes that the signature is over.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def decode(token: str, *, limit: int = TOKEN_LIMIT) -> Decoded:
    """Decode a token in compact form of at most *limit* characters (RFC 7515 §3.1).

    Raises:
        TokenRejected: ``too_large``, ``encrypted`` or ``malformed``.
    """
    if not isinstance(token, str):
        raise TokenRejected(Reason.MALFORMED)
    if len(token) > limit:
        raise TokenRejected(Reason.TOO_LARGE)
    parts = token.split(".")
    if len(parts) == 5:
        # RFC 7516 §3.1. No token that we take is encrypted.
        raise TokenRejected(Reason.ENCRYPTED)
    if len(parts) != 3:
        raise TokenRejected(Reason.MALFORMED)
    header, payload, signature = (base64url(part) for part in parts)
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Decoded(_json_object(header), _json_object(payload), signed, signature)


def base64url(text: str) -> bytes:
    """Decode strictly: the standard library ignores foreign characters and unused bits."""
    if not _BASE64URL.fullmatch(text) or text[-1:] not in _LAST_CHARACTERS[len(text) % 4]:
        raise TokenRejected(Reason.MALFORMED)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise TokenRejected(Reason.MALFORMED) from None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        raise TokenRejected(Reason.MALFORMED) from None
    if not isinstance(value, dict):
        raise TokenRejected(Reason.MALFORMED)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated member: two parsers could read two different tokens (RFC 7519 §4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


#: One for all calls: ``json.loads`` with a hook makes one per call.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique_members)


def check_header(
    header: Mapping[str, Any],
    *,
    algorithms: Container[str],
    types: Container[str],
    default_type: str | None = None,
    brings_key: bool = False,
) -> tuple[str, str | None]:
    """Return algorithm and key id that a header names.

    Args:
        header: Header of a decoded token.
        algorithms: The accepted ones. The header cannot add one.
        types: The accepted values of ``typ``, in lower case.
        default_type: Replaces a missing ``typ``; without it a missing ``typ`` is refused.
        brings_key: Whether ``jwk`` holds the key, as in a DPoP proof, which proves nothing but its possession.

    Raises:
        TokenRejected: ``header``, ``typ``, ``alg`` or ``kid``.
    """
    refused = _REFUSED_HEADERS - {"jwk"} if brings_key else _REFUSED_HEADERS
    if not refused.isdisjoint(header):
        raise TokenRejected(Reason.HEADER)
    kind = header.get("typ", default_type)
    if not isinstance(kind, str) or kind.lower() not in types:
        raise TokenRejected(Reason.TYPE)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in _KNOWN:
        raise TokenRejected(Reason.ALGORITHM)
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise TokenRejected(Reason.KID)
    return algorithm, kid


# --- Values -----------------------------------------------------------------------------------------------


def seconds(value: object, reason: Reason) -> float:
    """Return a NumericDate (RFC 7519 §2) that a datetime can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LAST_SECOND:
        raise TokenRejected(reason)
    return value


def check_times(claims: Mapping[str, Any], now: float) -> tuple[datetime, datetime]:
    """Return ``iat`` and ``exp`` of a token that is valid at *now* (RFC 7519 §4.1), with 60 s of leeway.

    Raises:
        TokenRejected: ``exp``, ``iat`` or ``nbf``.
    """
    expires_at = seconds(claims.get("exp"), Reason.EXPIRED)
    issued_at = seconds(claims.get("iat"), Reason.ISSUED_AT)
    if now >= expires_at + LEEWAY:
        raise TokenRejected(Reason.EXPIRED)
    if issued_at > now + LEEWAY:
        raise TokenRejected(Reason.ISSUED_AT)
    if "nbf" in claims and seconds(claims["nbf"], Reason.NOT_YET) > now + LEEWAY:
        raise TokenRejected(Reason.NOT_YET)
    return datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)


def audiences(value: object) -> tuple[str, ...]:
    """Return the values of ``aud``: a string or a list of strings (RFC 7519 §4.1.3)."""
    audience = [value] if isinstance(value, str) else value
    if not isinstance(audience, list) or not all(isinstance(item, str) for item in audience):
        raise TokenRejected(Reason.AUDIENCE)
    return tuple(audience)


def required_text(value: object, limit: int, reason: Reason) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise TokenRejected(reason)
    return value


def check_clean(value: Any) -> None:
    """Refuse JSON that no database or encoder can hold: NUL, lone surrogates, infinity, deep nesting.

    Raises:
        TokenRejected: ``unclean``.
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
                raise TokenRejected(Reason.UNCLEAN)
        if not following:
            return
        level = following
    raise TokenRejected(Reason.UNCLEAN)


def _is_clean(value: object) -> bool:
    if isinstance(value, str):
        return not has_bad_characters(value)
    return not isinstance(value, float) or math.isfinite(value)


def methods(value: object) -> tuple[str, ...]:
    """Return the usable values of ``amr``. Other values are ignored, not refused."""
    if not isinstance(value, list) or len(value) > 16:
        return ()
    return tuple(
        method
        for method in value
        if isinstance(method, str) and 0 < len(method) <= 64 and not has_bad_characters(method)
    )


def context_class(value: object) -> str:
    """Return the usable value of ``acr``; empty for any other, which is ignored, not refused."""
    if not isinstance(value, str) or len(value) > CONTEXT_LIMIT or has_bad_characters(value):
        return ""
    return value
