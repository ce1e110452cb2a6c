"""What the settings say of a resource, as members of its metadata (RFC 9728 §2)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.encoding import escape_uri_path
from django.utils.functional import Promise

from django_lazyauth.conf import ProtectedResource, allowed_algorithms, lazyauth_settings
from django_lazyauth.conf.issuer import origin as origin_of
from django_lazyauth.conf.languages import spoken
from django_lazyauth.openid.dpop.proof import ALGORITHMS
from django_lazyauth.openid.resource_indicators import lies_below


def closest_resource(path: str) -> str:
    """Return the longest path in ``PROTECTED_RESOURCES`` that contains *path*; empty where none does."""
    named = lazyauth_settings.protected_resources or ()
    above = [name for name in named if f"{path}/".startswith(f"{name.rstrip('/')}/")]
    return max(above, key=len, default="")


def resource_at(path: str) -> ProtectedResource:
    """Return what ``PROTECTED_RESOURCES`` says of the resource that contains *path*; nothing where none does."""
    named = lazyauth_settings.protected_resources or {}
    return named.get(closest_resource(path)) or ProtectedResource()


def name_of_resource(resource: str, *, site: str) -> str:
    """Return what ``RESOURCE_NAMES`` calls *resource*, or the closest that contains it; empty where nothing does.

    Args:
        site: The origin of the paths in the setting.
    """
    named = lazyauth_settings.resource_names.items()
    names = {f"{site}{escape_uri_path(key)}" if key[0] == "/" else key: name for key, name in named}
    above = [key for key in names if lies_below(resource, key)]
    return names[max(above, key=len)] if above else ""


def _in_all_languages(name: str) -> dict[str, str]:
    """Return *name* in the site's language, and where it is lazy in all others that differ (RFC 9728 §2.1)."""
    with translation.override(settings.LANGUAGE_CODE):
        members = {"resource_name": str(name)}
    for code in sorted(spoken()) if isinstance(name, Promise) else ():
        with translation.override(code):
            if (text := str(name)) != members["resource_name"]:
                members[f"resource_name#{translation.to_locale(code).replace('_', '-')}"] = text
    return members


def described_of(path: str, resource: str) -> dict[str, Any]:
    """Return the members for *resource*, at *path*. A member that the settings say nothing of is left out."""
    said, name = resource_at(path), name_of_resource(resource, site=origin_of(resource))
    described: dict[str, Any] = {"dpop_signing_alg_values_supported": list(allowed_algorithms(ALGORITHMS))}
    if said.scopes:
        described["scopes_supported"] = list(said.scopes)
    if said.dpop_bound_access_tokens_required:
        described["dpop_bound_access_tokens_required"] = True
    return described | (_in_all_languages(name) if name else {})


def requires_dpop(path: str) -> bool:
    """Say whether the resource at *path* takes tokens that are bound to a key only (RFC 9728 §2)."""
    return resource_at(path).dpop_bound_access_tokens_required
