"""The metadata and keys of a provider, stored so that sign-in works while the provider is down."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import ExactCharField


class ProviderKeySet(models.Model):
    """The last good configuration document and key set of one configured provider."""

    provider = ExactCharField(_("provider"), max_length=64, primary_key=True)
    issuer = models.CharField(_("issuer"), max_length=255)
    configuration = models.JSONField(_("configuration"), default=dict)
    jwks = models.JSONField(_("key set"), default=dict)
    etag = models.CharField(_("entity tag"), max_length=255, blank=True)
    last_modified = models.CharField(_("last modified"), max_length=64, blank=True)
    fetched_at = models.DateTimeField(_("fetched at"), null=True, blank=True)
    next_refresh_at = models.DateTimeField(_("next refresh at"), default=timezone.now)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    unknown_kid_at = models.DateTimeField(_("last fetch for an unknown key id"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider key set")
        verbose_name_plural = _("provider key sets")

    def __str__(self) -> str:
        return self.provider
