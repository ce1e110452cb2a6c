"""Who calls a DRF view is known by one signature check; the stock toolkit asks the database."""

from .bearers import bearer_sides
from .harness import Claim

CLAIM = Claim(
    "bearer check of a DRF view, offline beside the stock toolkit's OAuth2Authentication",
    bound=0.25,
    on_postgresql=0.20,
    sides=bearer_sides,
    rounds=20,
    samples=100,
)
