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
    #: The last answer with status 200 or 304.
    fetched_at = models.DateTimeField(_("fetched at"), null=True, blank=True)
    #: The end of its ``max-age``.
    fresh_until = models.DateTimeField(_("fresh until"), null=True, blank=True)
    next_refresh_at = models.DateTimeField(_("next refresh at"), default=timezone.now)
    #: Until when a refresh that was started belongs to its process. It is empty when the refresh has ended.
    refreshing_until = models.DateTimeField(_("being refreshed until"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    #: One short word of ours. It stays when a later refresh succeeds; ``failures`` is 0 then.
    last_error = models.CharField(_("last error"), max_length=32, blank=True)
    last_error_at = models.DateTimeField(_("last error at"), null=True, blank=True)
    #: Texts ``member: word``: members of its metadata that were not usable and were left out.
    notes = models.JSONField(_("notes"), default=list, blank=True)
    #: The ``token_endpoint_auth_method`` that worked where none was configured or published.
    method_found = models.CharField(_("method found"), max_length=32, blank=True)
    #: For all tokens together that the stored keys could not verify (I15).
    unknown_kid_at = models.DateTimeField(_("last fetch for a token"), null=True, blank=True)
    #: How the last sign-ins went, each within a minute (``upstream/health``).
    signed_in_at = models.DateTimeField(_("last sign-in"), null=True, blank=True)
    failed_at = models.DateTimeField(_("last failed sign-in"), null=True, blank=True)
    #: Two words of ours: the reason, and the finer one.
    failure = models.CharField(_("why it failed"), max_length=64, blank=True)
    #: The rules with which people signed in, as :func:`.rules.written` writes them (``upstream/subject_rule``).
    subject_rules = models.JSONField(default=list, blank=True, editable=False)
    #: Answers in a row that people were asked for consent for, and that brought no refresh token.
    asked_in_vain = models.PositiveIntegerField(_("asked for consent in vain"), default=0, db_default=0)
    asked_in_vain_at = models.DateTimeField(_("last asked in vain at"), null=True, blank=True)
    endpoint_failed_at = models.DateTimeField(_("last fetch for a broken endpoint"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        permissions = [
            ("refresh_providerkeyset", "Can fetch keys and metadata of a provider"),
            ("test_providerkeyset", "Can try a provider"),
        ]
        constraints = [
            models.CheckConstraint(
                name="lazyauth_provider_asked_at_a_time",
                condition=models.Q(asked_in_vain=0) | models.Q(asked_in_vain_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.provider
