"""Seal a token response for whoever presents the refresh token that it answered, and for nobody else.

The key is derived from the presented token, which the database never holds: of a dump nothing can be opened, by
no key of the site either. AES-256-GCM; the salt is new for each row, so no key is used twice. This module turns
text into text and knows nothing of rows.
"""

from __future__ import annotations

import base64
import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from django_lazyauth.errors import SealBroken

SALT_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
#: Keeps this key apart from whatever else is derived from a token (RFC 5869 §3.2).
DERIVATION_INFO: Final = b"django_lazyauth refresh successor v1"
VERSION: Final = "v1."


def seal(text: str, *, refresh_token: str, family: UUID, client_id: str) -> str:
    """Return *text* sealed under *refresh_token*, for this family and client.

    Format: ``v1.<base64url of salt, nonce and ciphertext>``.
    """
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = AESGCM(_key(refresh_token, salt)).encrypt(nonce, text.encode(), _place(family, client_id))
    return VERSION + base64.urlsafe_b64encode(salt + nonce + sealed).decode()


def open_sealed(sealed: str, *, refresh_token: str, family: UUID, client_id: str) -> str:
    """Return the text.

    Raises:
        SealBroken: Another token, family or client, or tampered with; not told apart.
    """
    if not sealed.startswith(VERSION):
        raise SealBroken("unknown format")
    try:
        raw = base64.b64decode(sealed[len(VERSION) :], altchars=b"-_", validate=True)
        salt, nonce, rest = raw[:SALT_BYTES], raw[SALT_BYTES:][:NONCE_BYTES], raw[SALT_BYTES + NONCE_BYTES :]
        return AESGCM(_key(refresh_token, salt)).decrypt(nonce, rest, _place(family, client_id)).decode()
    except (InvalidTag, ValueError):
        # From None: the chained exception would carry ciphertext into a traceback's locals.
        raise SealBroken("does not open here") from None


def _key(refresh_token: str, salt: bytes) -> bytes:
    derivation = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=DERIVATION_INFO)
    return derivation.derive(refresh_token.encode())


def _place(family: UUID, client_id: str) -> bytes:
    # A UUID has a fixed length: what comes after it cannot be taken for a part of it.
    return f"{family}{client_id}".encode()
