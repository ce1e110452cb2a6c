"""A client with bound tokens pays one signature and two rows, and no round trip to the database."""

from .bound_tokens import sides
from .harness import Claim

CLAIM = Claim("exchange with a DPoP proof (ES256), against one without", bound=1.15, sides=sides)
