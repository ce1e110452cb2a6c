"""Seal a text for one place in the database, and open it only there (I12).

AES-256-GCM, with the id of the key in front and the place (model, session, provider, column) as associated data. A
value that was moved, truncated or sealed with a removed key does not open.

Not here: rows. This module turns text into text.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from json.encoder import encode_basestring_ascii as _json_string
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import SealBroken
from django_lazyauth.kit.crypto.site_keys import DERIVED_KEY_ID, KEY_BYTES, configured_vault_keys, read_key

NONCE_BYTES = 12
DERIVATION_INFO = b"django_lazyauth vault key v1"
#: base64.b64decode() makes this table anew on each call.
FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Place:
    """The place of a sealed value in the database. At any other place it does not open.

    Attributes:
        session_id: The session, or the grant of tokens that sessions share.
        owner: User and subject of a grant; empty elsewhere.
    """

    model: str
    session_id: UUID
    provider: str
    column: str
    owner: tuple[str, ...] = ()

    def associated_data(self) -> bytes:
        return self._associated_data

    @cached_property
    def _associated_data(self) -> bytes:
        # JSON, not concatenation: ("a", "bc") and ("ab", "c") must differ. Written by hand, because json.dumps() takes
        # three times as long, and every call to an upstream opens a seal.
        parts = (self.model, str(self.session_id), self.provider, self.column)
        return f"[{', '.join(map(_json_string, parts + self.owner))}]".encode()


class Cipher(Protocol):
    """What ``LAZYAUTH["CIPHER"]`` names: a host may keep its keys in an HSM."""

    def seal(self, text: str, place: Place) -> str:
        """Return *text* sealed for *place*."""

    def open(self, sealed: str, place: Place) -> str:
        """Return the text.

        Raises:
            SealBroken: Wrong place, unknown key, or changed text; the error does not say which.
        """

    def needs_reseal(self, sealed: str) -> bool:
        """Say whether *sealed* was sealed with another key than the current one."""


@dataclass(frozen=True, slots=True)
class VaultKey:
    key_id: str
    aead: AESGCM


def parse_key(text: str) -> VaultKey:
    """Read ``"<key id>:<base64 of 32 bytes>"``.

    Raises:
        ImproperlyConfigured: Not of that form. The message holds no part of the key.
    """
    key_id, key = read_key(text)
    return VaultKey(key_id, AESGCM(key))


@lru_cache(maxsize=8)
def _parsed(keys: tuple[str, ...]) -> tuple[VaultKey, ...]:
    parsed = tuple(parse_key(text) for text in keys)
    if len({key.key_id for key in parsed}) != len(parsed):
        raise ImproperlyConfigured('Two of LAZYAUTH["VAULT_KEYS"] have the same key id.')
    return parsed


@lru_cache(maxsize=8)
def _derived(secret_key: str) -> VaultKey:
    derivation = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=DERIVATION_INFO)
    return VaultKey(DERIVED_KEY_ID, AESGCM(derivation.derive(secret_key.encode())))


@lru_cache(maxsize=8)
def _by_id(keys: tuple[str, ...]) -> dict[str, VaultKey]:
    return {key.key_id: key for key in _parsed(keys)}


def vault_keys() -> tuple[VaultKey, ...]:
    """Return the current keys; the first one seals."""
    configured = configured_vault_keys()
    if configured:
        # The derived key still opens values, so a site that configures its first key keeps its sessions.
        return (*_parsed(configured), _derived(settings.SECRET_KEY))
    return (_derived(settings.SECRET_KEY),)


def _key_named(key_id: str) -> VaultKey | None:
    if key_id == DERIVED_KEY_ID:
        return _derived(settings.SECRET_KEY)
    return _by_id(configured_vault_keys()).get(key_id)


class AesGcmCipher:
    """The default cipher. Format: ``v1.<key id>.<base64url of nonce and ciphertext>``."""

    def seal(self, text: str, place: Place) -> str:
        key = vault_keys()[0]
        nonce = os.urandom(NONCE_BYTES)
        sealed = key.aead.encrypt(nonce, text.encode(), place.associated_data())
        return f"v1.{key.key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: Place) -> str:
        version, _, rest = sealed.partition(".")
        key_id, _, encoded = rest.partition(".")
        key = _key_named(key_id)
        if version != "v1" or key is None:
            raise SealBroken("unknown format or key")
        try:
            raw = binascii.a2b_base64(encoded.encode().translate(FROM_URLSAFE), strict_mode=True)
            return key.aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.associated_data()).decode()
        except (InvalidTag, ValueError):
            # From None: a traceback of the chained exception would hold ciphertext.
            raise SealBroken("does not open here") from None

    def needs_reseal(self, sealed: str) -> bool:
        return not sealed.startswith(f"v1.{vault_keys()[0].key_id}.")


def get_cipher() -> Cipher:
    """Return the configured cipher."""
    cipher: Cipher = lazyauth_settings.cipher()
    return cipher
