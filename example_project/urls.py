"""The site's addresses. The authorization server lives at the root: that is where clients look for it."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from . import views
from .api import WhoAmI

urlpatterns = [
    path("", views.home, name="home"),
    path("admin/", admin.site.urls),
    path("api/whoami", WhoAmI.as_view(), name="whoami"),
    path("", include("django_lazyauth.urls")),
]
if settings.DEBUG:
    urlpatterns.append(path("demo/callback", views.demo_callback, name="demo-callback"))
