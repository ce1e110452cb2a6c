"""The document that tells clients where to get tokens for a resource of this site (RFC 9728)."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.encoding import escape_uri_path

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.resource_server.described import closest_resource, described_of


def resource_metadata_url(path: str = "") -> str | None:
    """Return the URL of the metadata of the resource at *path* of this site, for challenges (RFC 9728 §5.1).

    It stands at the root of the origin where that is mounted, whatever path the issuer has (RFC 9728 §3.1).
    """
    wanted = _described_at(path).lstrip("/")
    name, args = ("resource-metadata-of-path", [wanted]) if wanted else ("resource-metadata", [])
    for namespace in ("lazyauth_well_known", "lazyauth"):
        try:
            return lazyauth_settings.issuer_origin + reverse(f"{namespace}:{name}", args=args)
        except NoReverseMatch:
            continue
    return None


def _described_at(path: str) -> str:
    """Return the path of the metadata that covers *path*: itself, or the closest one that the settings name."""
    return path if lazyauth_settings.protected_resources is None else closest_resource(path)


def is_resource(path: str) -> bool:
    """Say whether *path*, without slashes at its ends, is a resource of this site that a client may ask about.

    The site as a whole always is one. If the settings name resources, so are those. If they name none, so is every
    address of this site, and everything behind ``UpstreamSwap``.
    """
    if not path:
        return True
    named = lazyauth_settings.protected_resources
    if named is not None:
        return path in {resource.strip("/") for resource in named}
    if any(
        f"/{path}/".startswith(f"{prefix.rstrip('/')}/") for prefix in lazyauth_settings.upstream_swap.paths
    ):
        return True
    return any(_leads_somewhere(candidate) for candidate in (f"/{path}", f"/{path}/"))


def _leads_somewhere(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def protected_resource_metadata(resource_path: str) -> dict[str, Any]:
    """Return the metadata of a resource of this site (RFC 9728 §2).

    ``resource`` is exactly the URL that the client requested, with or without a slash at its end (RFC 9728 §3.3).
    """
    resource = lazyauth_settings.issuer_origin + (
        escape_uri_path(f"/{resource_path}") if resource_path else ""
    )
    metadata: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": [lazyauth_settings.issuer],
        "bearer_methods_supported": ["header"],
    }
    return metadata | described_of(f"/{resource_path}", resource)
