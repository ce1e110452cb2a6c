"""The documents that tell clients what is on: RFC 8414, OpenID Connect Discovery (one content), RFC 9728."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.encoding import escape_uri_path
from oauth2_provider.settings import oauth2_settings

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.tokens.keys import signing_algorithms
from django_lazyauth.toolkit.scopes import available_scopes
from django_lazyauth.toolkit.server import GRANT_TYPES
from django_lazyauth.toolkit.validator import LazyAuthValidator

AUTHENTICATION_METHODS = ["client_secret_basic", "client_secret_post", "none"]
CONFIDENTIAL_METHODS = ["client_secret_basic", "client_secret_post"]
PROMPTS = ["none", "login", "consent", "select_account", "create"]

#: Member → name of the URL that serves it. A URL that is not mounted is not advertised.
ENDPOINTS = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "revocation_endpoint": "revoke",
    "introspection_endpoint": "introspect",
    "userinfo_endpoint": "userinfo",
    "end_session_endpoint": "end-session",
    "registration_endpoint": "register",
    "jwks_uri": "jwks",
}


def endpoint_url(name: str) -> str | None:
    """Return the absolute URL of one of our endpoints, built on the issuer and never on ``Host``."""
    try:
        return lazyauth_settings.issuer_origin + reverse(f"lazyauth:{name}")
    except NoReverseMatch:
        return None


def server_metadata() -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3)."""
    endpoints = {member: url for member, name in ENDPOINTS.items() if (url := endpoint_url(name))}
    if lazyauth_settings.registration_policy == "closed":
        endpoints.pop("registration_endpoint", None)
    return {
        "issuer": lazyauth_settings.issuer,
        **endpoints,
        "scopes_supported": sorted(available_scopes(None, None)),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": AUTHENTICATION_METHODS,
        "revocation_endpoint_auth_methods_supported": AUTHENTICATION_METHODS,
        "introspection_endpoint_auth_methods_supported": CONFIDENTIAL_METHODS,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(signing_algorithms()),
        "claims_supported": LazyAuthValidator().get_discovery_claims(None),
        "claims_parameter_supported": False,
        "prompt_values_supported": PROMPTS,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": bool(oauth2_settings.CIMD_ENABLED),
    }


def resource_metadata_url(path: str = "") -> str | None:
    """Return where the metadata of the resource at *path* of this site stands, for challenges (RFC 9728 §5.1).

    At the root of the origin where that is mounted, whatever path the issuer has (RFC 9728 §3.1).
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
    """Return the path whose description covers *path*: itself, or the closest that the settings name."""
    named = lazyauth_settings.protected_resources
    if named is None:
        return path
    above = [name for name in named if f"{path}/".startswith(f"{name.rstrip('/')}/")]
    return max(above, key=len, default="")


def is_resource(path: str) -> bool:
    """Say whether *path*, without slashes at its ends, is a resource of this site that a client may ask about.

    The site as a whole always is. Beside it those that the settings name; or, where they name none, what this
    site's addresses lead to, and what stands behind ``UpstreamSwap``.
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

    Its name is the very URL that a client requested, with a slash at its end or without (RFC 9728 §3.3).
    """
    resource = lazyauth_settings.issuer_origin + (
        escape_uri_path(f"/{resource_path}") if resource_path else ""
    )
    return {
        "resource": resource,
        "authorization_servers": [lazyauth_settings.issuer],
        "scopes_supported": sorted(available_scopes(None, None)),
        "bearer_methods_supported": ["header"],
    }
