"""A site whose issuer is its origin, with two APIs that are resources of their own."""

from django.urls import include, path

from .api import Whoever

urlpatterns = [
    path("api/one", Whoever.as_view()),
    path("api/two", Whoever.as_view()),
    path("", include("django_lazyauth.urls")),
]
