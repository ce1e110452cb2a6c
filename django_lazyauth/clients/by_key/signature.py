"""Did a key of this client sign that, whatever it is?

Not here: what a statement has to say (:mod:`.assertion`), and that it is good once (:mod:`.prove`).
"""

from __future__ import annotations

from django_lazyauth.openid.jose import Decoded, TokenRejected
from django_lazyauth.openid.key_set import KeySet, check_signature
from django_lazyauth.toolkit import client_methods
from django_lazyauth.toolkit.clients import Client

from .keys import load_keys


def check_signed_by(client: Client, decoded: Decoded, algorithm: str, key_id: str | None) -> None:
    """Check that a key of *client* signed it. Keys at an address are looked at once more where none did.

    The key may be new, or stand in the place of an older one under the same ``kid``. I15 limits the fetches. It may
    wait for them, so no transaction may be open.

    Args:
        algorithm: Of the header, which was checked.
        key_id: ``kid``; ``None`` where the header names no key.

    Raises:
        TokenRejected: None did, or the client has none.
        TemporarilyUnavailable: The keys cannot be read now.
    """
    keys = load_keys(client)
    try:
        _check_with(keys, decoded, algorithm, key_id)
    except TokenRejected:
        if not client_methods.keys_uri(client):
            raise
        _check_with(load_keys(client, refetch=True), decoded, algorithm, key_id)


def _check_with(keys: KeySet, decoded: Decoded, algorithm: str, key_id: str | None) -> None:
    check_signature(decoded, keys.select(key_id, algorithm, needs_kid=False), algorithm)
