"""``path("", include("django_lazyauth.resource_server.urls"))`` at the root of a site that only accepts tokens."""

from django.urls import path

from .views import metadata_view

app_name = "lazyauth_resource_server"

urlpatterns = [
    path(".well-known/oauth-protected-resource", metadata_view, name="metadata"),
    path(".well-known/oauth-protected-resource/<path:resource_path>", metadata_view, name="metadata-of-path"),
]
