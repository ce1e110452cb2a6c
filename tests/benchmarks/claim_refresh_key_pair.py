"""A refresh at a site with the keys that a new site gets."""

from functools import partial

from .harness import Claim
from .key_pair import with_key_pair
from .refresh import sides

CLAIM = Claim(
    "refresh, public client, ID token, successor sealed, ES256 first and RS256 beside it",
    bound=0.8,
    on_postgresql=0.33,
    sides=with_key_pair(partial(sides, "openid")),
)
