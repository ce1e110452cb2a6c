"""A random client secret is checked by one SHA-256; the stock toolkit stretches it with PBKDF2 on every call."""

from functools import partial

from .exchange import sides
from .harness import Claim

CLAIM = Claim(
    "exchange, confidential client",
    bound=0.05,
    on_postgresql=0.03,
    # The warm-up is the first use of the secret, at which its stored form changes.
    sides=partial(sides, confidential=True),
    rounds=4,
    samples=10,
)
