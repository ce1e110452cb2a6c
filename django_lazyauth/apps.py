"""The app: ``INSTALLED_APPS = [..., "oauth2_provider", "django_lazyauth"]``."""

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class LazyAuthConfig(AppConfig):
    name = "django_lazyauth"
    label = "lazyauth"
    verbose_name = _("Sign-in and clients")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here: checks reach the models, which exist only once every app is loaded.
        from .api.local_issuer import ThisIssuer
        from .checks import register_checks
        from .resource_server.local import introduce
        from .toolkit.documents import use_our_fetcher

        register_checks()
        use_our_fetcher()
        introduce(ThisIssuer())
        if apps.is_installed("drf_spectacular"):
            from .api import openapi  # noqa: F401 - drf-spectacular collects what was imported.
