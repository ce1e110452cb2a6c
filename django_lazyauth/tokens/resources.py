"""Resource indicators (RFC 8707): what may be one, and what a token without one is for."""

from __future__ import annotations

from collections.abc import Sequence

from oauth2_provider.oauth2_validators import is_valid_resource_uri, validate_resource_as_url_prefix

from django_lazyauth.conf import lazyauth_settings

MAX_RESOURCES = 10
#: Characters of one indicator, and of all that a request names: they travel in each token, which is at most 16 KiB.
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


def audience_of(resources: Sequence[str] | None) -> list[str]:
    """Return who a token is for: the resources that were asked for, else this site (RFC 9068 §3)."""
    return list(resources or ()) or [lazyauth_settings.issuer]


def lies_below(uri: str, resource: str) -> bool:
    """Say whether *uri* is *resource* or below it: how DOT compares an audience with a request (RFC 8707 §2)."""
    try:
        return bool(validate_resource_as_url_prefix(uri, [resource]))
    except ValueError:
        return False
