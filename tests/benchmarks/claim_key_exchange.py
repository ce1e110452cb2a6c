"""A client with a key pays one signature, one SELECT and one row more than one with a secret, and no COMMIT."""

from .client_keys import sides
from .harness import Claim

CLAIM = Claim("exchange, client with a key (ES256), against one with a secret", bound=1.15, sides=sides)
