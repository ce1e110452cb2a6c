"""``INSTALLED_APPS = [..., "django_lazyauth.resource_server"]``: a site that only accepts tokens."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, register


class ResourceServerConfig(AppConfig):
    name = "django_lazyauth.resource_server"
    label = "lazyauth_resource_server"

    def ready(self) -> None:
        register(_check_resource_server, "lazyauth")
        register(_check_deployment, "lazyauth", deploy=True)
        if apps.is_installed("drf_spectacular"):
            from . import openapi  # noqa: F401 - drf-spectacular collects what was imported.


# What checks need is imported when checks run: they reach urllib3, and a site starts more often than it is checked.


def _check_resource_server(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    from .checks import check_resource_server

    return check_resource_server(app_configs, **kwargs)


def _check_deployment(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    from .checks import check_deployment

    return check_deployment(app_configs, **kwargs)
