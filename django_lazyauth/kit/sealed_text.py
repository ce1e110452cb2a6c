"""Seal a text under a secret that somebody else holds and the database does not.

AES-256-GCM. The key is derived from the secret with a new salt for each text, so no key is used twice. Who has only
the database cannot open such a text, with no key of the site either. The secret needs 128 random bits or more:
nothing is stretched.
"""

from __future__ import annotations

import base64
import os
import zlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import SealBroken

SALT_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
VERSION: Final = "v1."


@sensitive_variables()
def seal(text: str, *, secret: str, purpose: str, place: str) -> str:
    """Return *text* sealed under *secret*; it opens only with the same *purpose* and *place*.

    Format: ``v1.<base64url of salt, nonce and ciphertext>``. The text is compressed.
    """
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = AESGCM(_key(secret, salt, purpose)).encrypt(nonce, zlib.compress(text.encode()), place.encode())
    return VERSION + base64.urlsafe_b64encode(salt + nonce + sealed).decode()


@sensitive_variables()
def open_sealed(sealed: str, *, secret: str, purpose: str, place: str) -> str:
    """Return the text.

    Raises:
        SealBroken: Another secret, purpose or place, or changed; not told apart.
    """
    if not sealed.startswith(VERSION):
        raise SealBroken("unknown format")
    try:
        raw = base64.b64decode(sealed[len(VERSION) :], altchars=b"-_", validate=True)
        salt, nonce, rest = raw[:SALT_BYTES], raw[SALT_BYTES:][:NONCE_BYTES], raw[SALT_BYTES + NONCE_BYTES :]
        opened = AESGCM(_key(secret, salt, purpose)).decrypt(nonce, rest, place.encode())
    except (InvalidTag, ValueError):
        # From None: the chained exception would carry ciphertext into a traceback's locals.
        raise SealBroken("does not open here") from None
    # Authenticated, so it is what seal() compressed.
    return zlib.decompress(opened).decode()


@sensitive_variables()
def _key(secret: str, salt: bytes, purpose: str) -> bytes:
    derivation = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=purpose.encode())
    return derivation.derive(secret.encode())
