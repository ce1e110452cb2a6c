"""A first sign-in at a site with the keys that a new site gets."""

from functools import partial

from .exchange import sides
from .harness import Claim
from .key_pair import with_key_pair

CLAIM = Claim(
    "exchange, public client, full lazy finalize, ES256 first and RS256 beside it",
    bound=0.6,
    on_postgresql=0.44,
    sides=with_key_pair(partial(sides, confidential=False)),
)
