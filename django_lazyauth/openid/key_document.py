"""What is kept of a key set that somebody published: its public signature keys, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit import fetch

from .jose import KeySet, KeySetInvalid, TokenRejected, check_clean, is_public

#: Members of a key (RFC 7517 §4, RFC 7518 §6); ``issuer`` is Microsoft's.
KEY_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops", "issuer")


class RefreshFailed(LazyAuthError):
    """The provider gave nothing that could replace what we have; ``reason`` is one word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def public_key_set(response: fetch.Response) -> dict[str, Any]:
    """Return the public signature keys of an answer, as they are kept.

    Raises:
        RefreshFailed: It is not a key set, or holds no key that we would use.
    """
    if not response.ok:
        raise RefreshFailed("status")
    try:
        document = response.json_object()
        check_clean(document)
        keys = KeySet.from_jwks(document)
    except (fetch.FetchError, KeySetInvalid, TokenRejected) as error:
        raise RefreshFailed(error.reason) from None
    if not keys:
        raise RefreshFailed("no_keys")
    return {"keys": [_public_members(key) for key in document["keys"] if is_public(key)]}


def _public_members(key: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what makes a public key; certificates are never read."""
    return {name: key[name] for name in KEY_MEMBERS if name in key}
