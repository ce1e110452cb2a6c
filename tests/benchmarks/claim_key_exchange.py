"""A client with a key pays one signature, one SELECT and one committed INSERT more than one with a secret."""

from .client_keys import sides
from .harness import Claim

CLAIM = Claim(
    "exchange, client with a key (ES256), against one with a secret",
    bound=1.2,
    # The proof is committed before the grant begins, and waits for the disk.
    on_postgresql=1.35,
    sides=sides,
)
