"""A resource server learns what a token is worth for less than the stock toolkit takes."""

from .bearers import introspection_sides
from .harness import Claim

CLAIM = Claim(
    "introspection by a resource server, secrets unstretched on both sides",
    bound=0.65,
    on_postgresql=0.50,
    sides=introspection_sides,
    rounds=20,
    samples=50,
)
