"""Upstream tokens in the format of earlier deployments, keyed on the session alone.

No request reads them. ``manage.py migrate_legacy_tokens`` moves them into
:class:`~django_lazyauth.models.UpstreamToken`, sealed, and deletes them here.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField, client_key

#: Earlier deployments stored the protocol, or nothing, where the logical name of a provider is stored now.
LEGACY_TYPES: Final = ("oidc", "oauth2", "")


class LegacyUpstreamToken(models.Model):
    """The tokens of one session as they were kept before: in the clear, one upstream per session."""

    id = models.BigAutoField(primary_key=True)
    session_id = ExactCharField(_("session"), max_length=255, unique=True)
    provider = ExactCharField(_("provider id"), max_length=PROVIDER_LENGTH, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    client = client_key(verbose_name=_("client"))
    subject = ExactCharField(_("upstream subject"), max_length=255, blank=True)
    access_token = models.TextField(_("access token"), blank=True)
    refresh_token = models.TextField(_("refresh token"), blank=True)
    id_token = models.TextField(_("ID token"), blank=True)
    token_type = models.CharField(_("token type"), max_length=32, default="Bearer")
    scope = models.TextField(_("scope"), blank=True)
    expires_at = models.DateTimeField(_("access token expires at"), null=True, blank=True)
    refresh_expires_at = models.DateTimeField(_("refresh token expires at"), null=True, blank=True)
    retain_until = models.DateTimeField(
        _("retained until"), null=True, blank=True, help_text=_("Empty: as long as a new bundle.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("legacy upstream token")
        verbose_name_plural = _("legacy upstream tokens")
        indexes = [models.Index(fields=["provider"], name="lazyauth_legacy_provider")]

    def __str__(self) -> str:
        return f"{self.provider} of {self.session_id}"
