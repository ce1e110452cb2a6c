"""One name for what may be used once, such as a signed statement."""

from __future__ import annotations

import hashlib


def use_digest(kind: str, signer: str, token_id: str) -> str:
    """Return the SHA-256 of three texts in hex.

    Args:
        kind: What was signed. The same id in another kind is another use.
        signer: Whose id it is, which is unique for its signer only.
        token_id: The ``jti``.
    """
    hashed = hashlib.sha256()
    for part in (kind, signer, token_id):
        encoded = part.encode()
        # With its length, so that no two triples have the same bytes.
        hashed.update(len(encoded).to_bytes(4, "big") + encoded)
    return hashed.hexdigest()
