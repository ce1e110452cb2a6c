"""The app: ``INSTALLED_APPS = [..., "oauth2_provider", "django_lazyauth"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig, apps
from django.db import router
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_lazyauth.resource_server.local import LocalIssuer


class LazyAuthConfig(AppConfig):
    name = "django_lazyauth"
    label = "lazyauth"
    verbose_name = _("Sign-in and clients")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here, because models exist only once every app is loaded. What is registered here imports what it
        # runs when it is first called: a start costs little more than that of the other apps.
        from django_lazyauth.checks import register_checks
        from django_lazyauth.legacy.hooks import register_hooks
        from django_lazyauth.models import PendingAuthorization
        from django_lazyauth.models.sqlite import complete_options
        from django_lazyauth.resource_server.local import introduce
        from django_lazyauth.sessions import receivers
        from django_lazyauth.toolkit.settings import use_our_defaults
        from django_lazyauth.toolkit.stock_checks import replace_deploy_check

        # Before the first connection of any thread.
        complete_options(router.db_for_write(PendingAuthorization))
        register_checks()
        replace_deploy_check()
        register_hooks()
        receivers.connect()
        use_our_defaults()
        introduce(_this_site)
        if apps.is_installed("drf_spectacular"):
            from django_lazyauth.api import openapi  # noqa: F401 - drf-spectacular collects what was imported.
            from django_lazyauth.resource_server import openapi as _openapi  # noqa: F401 - the same


def _this_site() -> LocalIssuer:
    from django_lazyauth.api.local_issuer import ThisIssuer

    return ThisIssuer()
