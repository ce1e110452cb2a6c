"""The URLs of the site. The authorization server is mounted at the root, where clients look for it."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from . import views
from .api import WhoAmI
from .tools import ToolServer

urlpatterns = [
    path("", views.home, name="home"),
    path("admin/", admin.site.urls),
    path("api/whoami", WhoAmI.as_view(), name="whoami"),
    path("mcp", ToolServer.as_view(), name="mcp"),
    path("", include("django_lazyauth.urls")),
]
if settings.DEBUG:
    urlpatterns.append(path("demo/callback", views.demo_callback, name="demo-callback"))
