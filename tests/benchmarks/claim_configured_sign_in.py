"""An ID token of a configured provider is checked with stored keys, without asking the provider for them."""

from .harness import Claim
from .verification import sign_in_sides

CLAIM = Claim(
    "ID token of a configured provider, stored keys beside a fetch per sign-in",
    bound=0.5,
    sides=sign_in_sides,
)
