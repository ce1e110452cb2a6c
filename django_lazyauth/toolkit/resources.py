"""Resource indicators (RFC 8707): what may be one."""

from __future__ import annotations

from collections.abc import Sequence

from oauth2_provider.oauth2_validators import is_valid_resource_uri

MAX_RESOURCES = 10
#: Characters of one indicator, and of all that a request names.
MAX_RESOURCE_LENGTH = 1024
MAX_TOTAL_LENGTH = 4096


def is_sound_resource(resource: object) -> bool:
    """Say whether a value can be a resource indicator (RFC 8707 §2)."""
    if not isinstance(resource, str) or len(resource) > MAX_RESOURCE_LENGTH:
        return False
    try:
        return bool(is_valid_resource_uri(resource))
    except ValueError:
        # Python's parser raises on "http://[".
        return False


def are_sound_resources(resources: Sequence[object]) -> bool:
    """Say whether a request may name all these resources."""
    return (
        len(resources) <= MAX_RESOURCES
        and all(is_sound_resource(resource) for resource in resources)
        and sum(len(str(resource)) for resource in resources) <= MAX_TOTAL_LENGTH
    )
