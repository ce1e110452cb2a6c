"""``INSTALLED_APPS = [..., "django_lazyauth.resource_server"]``: a site that only accepts tokens."""

from __future__ import annotations

from django.apps import AppConfig, apps


class ResourceServerConfig(AppConfig):
    name = "django_lazyauth.resource_server"
    label = "lazyauth_resource_server"

    def ready(self) -> None:
        from .checks import register_checks

        register_checks()
        if apps.is_installed("drf_spectacular"):
            from . import openapi  # noqa: F401 - drf-spectacular collects what was imported.
