"""What the settings say of a resource, as members of its metadata (RFC 9728 §2)."""

from __future__ import annotations

from typing import Any

from django_lazyauth.conf import ProtectedResource, allowed_algorithms, lazyauth_settings
from django_lazyauth.openid.dpop.proof import ALGORITHMS


def closest_resource(path: str) -> str:
    """Return the longest path in ``PROTECTED_RESOURCES`` that contains *path*; empty where none does."""
    named = lazyauth_settings.protected_resources or ()
    above = [name for name in named if f"{path}/".startswith(f"{name.rstrip('/')}/")]
    return max(above, key=len, default="")


def resource_at(path: str) -> ProtectedResource:
    """Return what ``PROTECTED_RESOURCES`` says of the resource that contains *path*; nothing where none does."""
    named = lazyauth_settings.protected_resources or {}
    return named.get(closest_resource(path)) or ProtectedResource()


def described_of(path: str) -> dict[str, Any]:
    """Return the members for the resource at *path*. A member that the settings say nothing of is left out."""
    resource = resource_at(path)
    described: dict[str, Any] = {"dpop_signing_alg_values_supported": list(allowed_algorithms(ALGORITHMS))}
    if resource.scopes:
        described["scopes_supported"] = list(resource.scopes)
    if resource.dpop_bound_access_tokens_required:
        described["dpop_bound_access_tokens_required"] = True
    return described


def requires_dpop(path: str) -> bool:
    """Say whether the resource at *path* takes tokens that are bound to a key only (RFC 9728 §2)."""
    return resource_at(path).dpop_bound_access_tokens_required
