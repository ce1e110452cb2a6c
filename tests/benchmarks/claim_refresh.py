"""A refresh with its sealed answer costs less than the stock toolkit's, which keeps none."""

from functools import partial

from .harness import Claim
from .refresh import sides

CLAIM = Claim(
    "refresh, public client, ID token, successor sealed",
    bound=0.8,
    on_postgresql=0.40,
    sides=partial(sides, "openid"),
)
