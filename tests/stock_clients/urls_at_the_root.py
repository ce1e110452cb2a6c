"""A site whose issuer is its origin, as the documentation sets it up, with an API."""

from django.urls import include, path

from .api import Whoever

urlpatterns = [
    path("api/whoever", Whoever.as_view()),
    path("", include("django_lazyauth.urls")),
]
