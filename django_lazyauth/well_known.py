"""The documents that live at the root of the origin, whatever path the issuer has (RFC 8414 §3.1)."""

from django.urls import path, re_path

from django_lazyauth.web import endpoints

app_name = "lazyauth_well_known"

metadata_patterns = [
    # Not every client removes the slash of an issuer or a resource at the root (RFC 8414 §3.1, RFC 9728 §3.1).
    re_path(
        r"^\.well-known/oauth-authorization-server/?$", endpoints.server_metadata_view, name="oauth-metadata"
    ),
    re_path(r"^\.well-known/openid-configuration/?$", endpoints.server_metadata_view, name="openid-metadata"),
    re_path(
        r"^\.well-known/oauth-protected-resource/?$",
        endpoints.protected_resource_view,
        name="resource-metadata",
    ),
    path(
        ".well-known/oauth-authorization-server/<path:issuer_path>",
        endpoints.server_metadata_view,
        name="oauth-metadata-of-path",
    ),
    path(
        ".well-known/openid-configuration/<path:issuer_path>",
        endpoints.server_metadata_view,
        name="openid-metadata-of-path",
    ),
    path(
        ".well-known/oauth-protected-resource/<path:resource_path>",
        endpoints.protected_resource_view,
        name="resource-metadata-of-path",
    ),
]

urlpatterns = metadata_patterns
