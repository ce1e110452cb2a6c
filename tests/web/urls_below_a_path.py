"""A site whose issuer has a path, as the documentation sets it up."""

from django.urls import include, path

urlpatterns = [
    path("oauth/", include("django_lazyauth.urls")),
    path("", include("django_lazyauth.well_known")),
]
