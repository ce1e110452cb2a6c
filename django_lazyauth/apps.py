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
        from .api.local_issuer import ThisIssuer
        from .checks import register_checks
        from .resource_server.local import introduce
        from .toolkit.documents import use_our_fetcher

        register_checks()
        self._watch_people()
        use_our_fetcher()
        introduce(ThisIssuer())
        if apps.is_installed("drf_spectacular"):
            from .api import openapi  # noqa: F401 - drf-spectacular collects what was imported.
            from .resource_server import openapi as _openapi  # noqa: F401 - the same

    def _watch_people(self) -> None:
        """Whoever deactivates or deletes a user ends their sessions, also in a page that knows nothing of us."""
        from django.contrib.auth import get_user_model

        from .flows import sessions

        model = get_user_model()
        post_save.connect(sessions.note_deactivation, sender=model, dispatch_uid="lazyauth.deactivation")
        pre_delete.connect(sessions.note_deletion, sender=model, dispatch_uid="lazyauth.deletion")
