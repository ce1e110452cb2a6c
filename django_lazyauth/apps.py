"""The app: ``INSTALLED_APPS = [..., "oauth2_provider", "django_lazyauth"]``."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_save, pre_delete
from django.utils.translation import gettext_lazy as _


class LazyAuthConfig(AppConfig):
    name = "django_lazyauth"
    label = "lazyauth"
    verbose_name = _("Sign-in and clients")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here: checks reach the models, which exist only once every app is loaded.
        from django_lazyauth.api.local_issuer import ThisIssuer
        from django_lazyauth.checks import register_checks
        from django_lazyauth.legacy.hooks import register_hooks
        from django_lazyauth.resource_server.local import introduce
        from django_lazyauth.toolkit.settings import use_our_defaults

        register_checks()
        register_hooks()
        self._watch_users()
        use_our_defaults()
        introduce(ThisIssuer())
        if apps.is_installed("drf_spectacular"):
            from django_lazyauth.api import openapi  # noqa: F401 - drf-spectacular collects what was imported.
            from django_lazyauth.resource_server import openapi as _openapi  # noqa: F401 - the same

    def _watch_users(self) -> None:
        """End the sessions of a user who is deactivated or deleted, by any code of the site."""
        from django.contrib.auth import get_user_model

        from django_lazyauth.sessions import end

        model = get_user_model()
        post_save.connect(end.end_on_deactivation, sender=model, dispatch_uid="lazyauth.deactivation")
        pre_delete.connect(end.end_on_deletion, sender=model, dispatch_uid="lazyauth.deletion")
