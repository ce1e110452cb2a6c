"""Which key signed this token, and does its signature hold (RFC 7515, RFC 7517)?

Neither Django nor HTTP is imported, nothing is fetched, stored or logged.

Not here: the form of a token (:mod:`.jose`), and where a key set comes from (:mod:`.published`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from django_lazyauth.errors import LazyAuthError

from .jose import KEY_OF, MAC_OF, Decoded, Reason, TokenRejected, base64url


@dataclass(frozen=True, slots=True)
class KeySetLimits:
    """Bytes of a key set, and the keys in it that can be used. Other members of the set do not count."""

    octets: int
    keys: int


#: Of a provider that the operator chose, and of a stranger's.
CONFIGURED: Final = KeySetLimits(512 * 1024, 100)
STRANGERS: Final = KeySetLimits(32 * 1024, 20)
#: Bits of an RSA modulus. Smaller ones are weak, larger ones cost too much time.
RSA_BITS: Final = range(2048, 8193)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: See :func:`parse_numbers`.
Parse: TypeAlias = Callable[[str, str, tuple[str, ...]], PublicKey | None]

_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
#: Newer name of an algorithm → the name that everybody knows (RFC 9864 §2.2).
_KNOWN_AS: Final = {"Ed25519": "EdDSA"}
_ALGORITHMS: Final = {name: get_default_algorithms()[_KNOWN_AS.get(name, name)] for name in KEY_OF}


class KeySetInvalid(LazyAuthError):
    """A document is not a usable key set; ``reason`` is a short word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OtherKeyType(TokenRejected):
    """The key of this name is of another type than the algorithm of the token. Its owner may have replaced it."""

    def __init__(self) -> None:
        super().__init__(Reason.ALGORITHM)


@dataclass(frozen=True, slots=True)
class Key:
    """One public key of a key set, and the restrictions that its owner published."""

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
    def from_jwks(cls, document: object, limits: KeySetLimits = CONFIGURED) -> KeySet:
        """Read a JWK set. Unusable keys are skipped, so the result may be empty.

        Args:
            document: The JSON object.
            limits: How large it may be.

        Raises:
            KeySetInvalid: Not a key set, or too large.
        """
        if not isinstance(document, Mapping) or not isinstance(members := document.get("keys"), list):
            raise KeySetInvalid("not_a_key_set")
        try:
            if len(json.dumps(members)) > limits.octets:
                raise KeySetInvalid("too_large")
        except (TypeError, ValueError, RecursionError):
            raise KeySetInvalid("not_a_key_set") from None
        keys = tuple(key for member in members if (key := _read_key(member)) is not None)
        if len(keys) > limits.keys:
            raise KeySetInvalid("too_many_keys")
        return cls(keys)

    def select(self, kid: str | None, algorithm: str, *, needs_kid: bool = True) -> Key:
        """Return the one key for this header (RFC 7515 §4.1.4).

        Args:
            kid: The key that the header names, if it names one.
            algorithm: That of the header.
            needs_kid: Whether a header must name its key where there are several. If not, the only one that fits is
                taken.

        Raises:
            TokenRejected: ``kid`` needed and missing or ambiguous, ``unknown_kid``, or ``alg``: no key of a set is a
                secret.
            OtherKeyType: ``alg``: the key is not one that this algorithm signs with.
        """
        if algorithm not in KEY_OF:
            raise TokenRejected(Reason.ALGORITHM)
        if needs_kid and kid is None and len(self.keys) > 1:
            raise TokenRejected(Reason.KID)
        named = self.keys if kid is None else tuple(key for key in self.keys if key.kid == kid)
        if not named:
            raise TokenRejected(Reason.UNKNOWN_KID)
        fitting = [
            key
            for key in named
            if key.kind == KEY_OF[algorithm]
            and (key.algorithm is None or same_algorithm(key.algorithm, algorithm))
        ]
        if not fitting:
            raise OtherKeyType
        first, *others = fitting
        # The same key may be listed twice, such as under its old and its new name.
        if any((other.public, other.issuer) != (first.public, first.issuer) for other in others):
            raise TokenRejected(Reason.KID)
        return first


def same_algorithm(one: str, other: str) -> bool:
    """Say whether two names mean one algorithm."""
    return _KNOWN_AS.get(one, one) == _KNOWN_AS.get(other, other)


def check_signature(decoded: Decoded, key: Key, algorithm: str) -> None:
    """Check that *key* signed the token.

    Raises:
        TokenRejected: ``signature``.
    """
    if not _ALGORITHMS[algorithm].verify(decoded.signed, key.public, decoded.signature):
        raise TokenRejected(Reason.SIGNATURE)


def check_mac(decoded: Decoded, secret: str, algorithm: str) -> None:
    """Check that who has *secret* signed the token (RFC 7518 §3.2).

    Raises:
        TokenRejected: ``signature``.
    """
    made = hmac.digest(secret.encode(), decoded.signed, MAC_OF[algorithm])
    if not secret or not hmac.compare_digest(made, decoded.signature):
        raise TokenRejected(Reason.SIGNATURE)


def is_public(member: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether a member of a key set may be used. A published private key is no longer private, so it is refused."""
    return isinstance(member, Mapping) and "d" not in member and "k" not in member


def is_usable(member: object) -> bool:
    """Say whether a member of a key set is a key that tokens can be checked with."""
    return _read_key(member) is not None


def _read_key(member: object) -> Key | None:
    return read_key(member, _parse_kept)


def read_key(member: object, parse: Parse) -> Key | None:
    """Return the key; ``None`` if it is not a public signature key of a known kind.

    Args:
        parse: :func:`parse_numbers`, behind a cache of the caller's.
    """
    if not is_public(member):
        return None
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, algorithm, issuer = (_text_or_none(member.get(name)) for name in ("kid", "alg", "issuer"))
    kind = (member.get("kty"), "" if member.get("kty") == "RSA" else member.get("crv"))
    names = {"RSA": "ne", "EC": "xy", "OKP": "x"}.get(str(kind[0]), "")
    numbers = tuple(number for name in names if isinstance(number := member.get(name), str))
    if kind not in KEY_OF.values() or len(numbers) != len(names):
        return None
    public = parse(str(kind[0]), str(kind[1]), numbers)
    return None if public is None else Key(kid, algorithm, (str(kind[0]), str(kind[1])), issuer, public)


def parse_numbers(kty: str, curve: str, numbers: tuple[str, ...]) -> PublicKey | None:
    """Return the key of these numbers, each in base64url; ``None`` if there is none."""
    try:
        raw = [base64url(number) for number in numbers]
        first, *rest = (int.from_bytes(number, "big") for number in raw)
        if kty == "RSA":
            if first.bit_length() not in RSA_BITS or rest[0].bit_length() > 32:
                return None
            return rsa.RSAPublicNumbers(e=rest[0], n=first).public_key()
        if kty == "EC":
            return ec.EllipticCurvePublicNumbers(first, rest[0], _CURVES[curve]()).public_key()
        return ed25519.Ed25519PublicKey.from_public_bytes(raw[0])
    except (TokenRejected, ValueError, UnsupportedAlgorithm):
        return None


#: Parses a key once per content: the check that it is on its curve costs more than a signature.
_parse_kept: Final[Parse] = lru_cache(maxsize=1024)(parse_numbers)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
