"""A first sign-in, everything written, costs no more than a fraction of the stock toolkit's bare exchange."""

from functools import partial

from .exchange import sides
from .harness import Claim

CLAIM = Claim(
    "exchange, public client, full lazy finalize (user, identity, vault row written)",
    bound=0.6,
    on_postgresql=0.47,
    sides=partial(sides, confidential=False),
)
