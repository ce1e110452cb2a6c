"""This user allowed this client these scopes on these resources (I8)."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import client_key


class Consent(models.Model):
    """The scopes that a person allowed a client, until the person withdraws them."""

    id = models.BigAutoField(primary_key=True)
    # Found by the constraint, whose index begins with it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        verbose_name=_("user"),
    )
    client = client_key(verbose_name=_("client"))
    resources_digest = models.CharField(_("digest of the resources"), max_length=64)
    resources = models.JSONField(_("resources"), default=list, blank=True)
    scope = models.TextField(_("scope"), blank=True)
    client_digest = models.CharField(
        _("digest of the client's metadata"),
        max_length=64,
        help_text=_("What the client said about itself when the person allowed it."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "client", "resources_digest"], name="lazyauth_consent_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} → {self.client_id}"

    def covers(self, scopes: Iterable[str], client_digest: str) -> bool:
        """Say whether the consent covers *scopes* of a client whose metadata has not changed."""
        return self.client_digest == client_digest and set(scopes) <= set(self.scope.split())
