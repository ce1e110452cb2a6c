"""A site whose issuer has a path, as the documentation sets it up, with an API beside it."""

from django.urls import include, path

from .api import Tools, Transfer, Whoever

urlpatterns = [
    path("api/whoever", Whoever.as_view()),
    path("mcp", Tools.as_view()),
    path("api/transfer", Transfer.as_view()),
    path("oauth/", include("django_lazyauth.urls")),
    path("", include("django_lazyauth.well_known")),
]
