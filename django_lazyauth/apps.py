"""The app: ``INSTALLED_APPS = [..., "oauth2_provider", "django_lazyauth"]``."""

from django.apps import AppConfig, apps
from django.db import router
from django.db.models.signals import post_save, pre_delete, pre_save
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
        from django_lazyauth.models import PendingAuthorization
        from django_lazyauth.models.sqlite import complete_options
        from django_lazyauth.resource_server.local import introduce
        from django_lazyauth.toolkit.settings import use_our_defaults

        # Before the first connection of any thread.
        complete_options(router.db_for_write(PendingAuthorization))
        register_checks()
        register_hooks()
        self._watch()
        use_our_defaults()
        introduce(ThisIssuer())
        if apps.is_installed("drf_spectacular"):
            from django_lazyauth.api import openapi  # noqa: F401 - drf-spectacular collects what was imported.
            from django_lazyauth.resource_server import openapi as _openapi  # noqa: F401 - the same

    def _watch(self) -> None:
        """End the sessions of what is deactivated, deleted or revoked by any code of the site."""
        from django.contrib.auth import get_user_model

        from django_lazyauth.sessions import deletion, end, revoked
        from django_lazyauth.toolkit.models import (
            get_access_token_model,
            get_application_model,
            get_refresh_token_model,
        )

        user, client, token = get_user_model(), get_application_model(), get_refresh_token_model()
        post_save.connect(end.end_on_deactivation, sender=user, dispatch_uid="lazyauth.deactivation")
        pre_delete.connect(deletion.end_on_user_deletion, sender=user, dispatch_uid="lazyauth.deletion")
        pre_delete.connect(
            deletion.end_on_client_deletion, sender=client, dispatch_uid="lazyauth.client_deletion"
        )
        pre_save.connect(revoked.end_on_revocation, sender=token, dispatch_uid="lazyauth.revocation")
        pre_delete.connect(
            revoked.end_on_token_deletion, sender=token, dispatch_uid="lazyauth.token_deletion"
        )
        pre_delete.connect(
            revoked.end_on_access_token_deletion,
            sender=get_access_token_model(),
            dispatch_uid="lazyauth.access_token_deletion",
        )
        revoked.watch_methods(token)
