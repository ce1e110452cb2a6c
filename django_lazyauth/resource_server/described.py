"""What the settings say of a resource, as members of its metadata (RFC 9728 §2)."""

from __future__ import annotations

from typing import Any

from django_lazyauth.conf import ProtectedResource, lazyauth_settings


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
    return {"scopes_supported": list(resource.scopes)} if resource.scopes else {}
