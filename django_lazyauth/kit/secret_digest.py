"""One salted SHA-256 of a random secret. It is for secrets that nobody can guess: nothing is stretched."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

PREFIX: Final = "lazyauth_sha256$"
SALT_BYTES: Final = 16


def digest_secret(secret: str) -> str:
    """Return what the database keeps of a random secret: ``lazyauth_sha256$<salt>$<digest>``."""
    salt = secrets.token_hex(SALT_BYTES)
    return f"{PREFIX}{salt}${_digest(salt, secret)}"


def is_digest(stored: str) -> bool:
    """Say whether *stored* comes from :func:`digest_secret`."""
    return stored.startswith(PREFIX)


def secret_matches(secret: str, stored: str) -> bool:
    """Compare in constant time. *stored* comes from :func:`digest_secret`."""
    salt, _, expected = stored[len(PREFIX) :].partition("$")
    return hmac.compare_digest(_digest(salt, secret), expected)


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}${secret}".encode()).hexdigest()
