"""Resource indicators: what a token is for (RFC 8707)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from oauth2_provider.oauth2_validators import is_valid_resource_uri

MAX_RESOURCES: Final = 10
#: Characters of one of them.
MAX_RESOURCE_LENGTH: Final = 1024


def are_sound(resources: Collection[str]) -> bool:
    """Say whether these can be the resource indicators of a request."""
    return len(resources) <= MAX_RESOURCES and all(is_sound(resource) for resource in resources)


def is_sound(resource: str) -> bool:
    """Say whether a value can be a resource indicator (RFC 8707 §2)."""
    try:
        return len(resource) <= MAX_RESOURCE_LENGTH and bool(is_valid_resource_uri(resource))
    except ValueError:
        # Python's parser raises on "http://[".
        return False
