"""A site whose issuer is its origin, as the documentation sets it up, with an API."""

from django.urls import include, path

from .api import Tools, Transfer, Whoever

urlpatterns = [
    path("api/whoever", Whoever.as_view()),
    path("mcp", Tools.as_view()),
    path("api/transfer", Transfer.as_view()),
    path("", include("django_lazyauth.urls")),
]
