"""The same where nothing is signed: what is left is the database, and what we keep besides."""

from functools import partial

from .harness import Claim
from .refresh import sides

CLAIM = Claim(
    "refresh, public client, no ID token, successor sealed", bound=0.8, sides=partial(sides, "profile")
)
