"""Keys of this site that every process derives for itself: from ``VAULT_KEYS``, else from ``SECRET_KEY``.

Nothing is stored. A key for one purpose says nothing of the key for another (RFC 5869 §3.2).
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings

KEY_BYTES: Final = 32
#: Key id of the key that is derived from SECRET_KEY; ``check --deploy`` refuses to rely on it.
DERIVED_KEY_ID: Final = "derived"


@sensitive_variables()
def read_key(text: str) -> tuple[str, bytes]:
    """Return id and bytes of ``"<key id>:<base64 of 32 bytes>"``.

    Raises:
        ImproperlyConfigured: Not of that form. The message holds no part of the key.
    """
    key_id, separator, encoded = text.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not separator or not key_id or "." in key_id or key_id == DERIVED_KEY_ID or len(key) != KEY_BYTES:
        raise ImproperlyConfigured(
            'Each of LAZYAUTH["VAULT_KEYS"] must be "<key id>:<base64 of 32 random bytes>", the id without a dot.'
        )
    return key_id, key


@sensitive_variables()
def keys_for(purpose: bytes) -> tuple[bytes, ...]:
    """Return the keys of 32 bytes for *purpose*: the first makes, all check. So ``VAULT_KEYS`` can be rotated.

    Raises:
        ImproperlyConfigured: One of ``VAULT_KEYS`` is none.
    """
    return _keys_for(purpose, configured_vault_keys(), settings.SECRET_KEY)


def configured_vault_keys() -> tuple[str, ...]:
    """Return ``VAULT_KEYS``; in development, where there is none, the key of this machine."""
    if keys := tuple(lazyauth_settings.vault_keys):
        return keys
    from .development import development_keys  # It imports this module, and most processes never need it.

    return development_keys().vault_keys


@lru_cache(maxsize=32)
def _keys_for(purpose: bytes, vault_keys: tuple[str, ...], secret_key: str) -> tuple[bytes, ...]:
    masters = [read_key(text)[1] for text in vault_keys] or [secret_key.encode()]
    return tuple(
        HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(master)
        for master in masters
    )
