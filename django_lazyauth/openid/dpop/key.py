"""The key in a DPoP proof, and its name (RFC 9449 §4.2, RFC 7638). Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from django_lazyauth.openid.jose import Reason, TokenRejected, base64url
from django_lazyauth.openid.key_set import Key, KeySet, Parse, parse_numbers, read_key

#: Members of a private or a secret key (RFC 7518 §6).
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
#: kty → the members that make the key, in the order of RFC 7638 §3.3.
_REQUIRED: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
#: Bytes of a coordinate.
_COORDINATE_BYTES: Final = {"P-256": 32, "Ed25519": 32}
#: Of strangers. They must not push the keys of providers out of the cache of those.
_parse: Final[Parse] = lru_cache(maxsize=256)(parse_numbers)


def read_own_key(member: object, algorithm: str) -> tuple[Key, str]:
    """Return the key that a proof brings along, and its thumbprint in base64url.

    Raises:
        TokenRejected: ``key_set``: it is not a public signature key. ``alg``: *algorithm* signs with another kind.
    """
    if not isinstance(member, Mapping) or not _PRIVATE.isdisjoint(member):
        raise TokenRejected(Reason.KEY_SET)
    key = read_key(member, _parse)
    if key is None:
        raise TokenRejected(Reason.KEY_SET)
    fitting = KeySet((key,)).select(None, algorithm)
    _check_canonical(member)
    return fitting, _thumbprint(member)


def _check_canonical(member: Mapping[str, Any]) -> None:
    """Refuse a key that is written in another way than RFC 7518 §6 has it: it would have a second thumbprint."""
    if member["kty"] == "RSA":
        is_canonical = all(base64url(member[name])[:1] > b"\0" for name in ("e", "n"))
    else:
        length = _COORDINATE_BYTES[member["crv"]]
        is_canonical = all(
            len(base64url(member[name])) == length for name in _REQUIRED[member["kty"]] if name in "xy"
        )
    if not is_canonical:
        raise TokenRejected(Reason.KEY_SET)


def _thumbprint(member: Mapping[str, Any]) -> str:
    required = {name: member[name] for name in _REQUIRED[member["kty"]]}
    text = json.dumps(required, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
