"""(provider, subject) belongs to at most one user, ever (I5)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField


class ProviderIdentityQuerySet(models.QuerySet["ProviderIdentity"]):
    def ask_again(self, user_id: Any, subject: str) -> None:
        """Let the person be asked for consent once more, because the refresh token that they have is dead.

        A grant may be of another provider name than its identity (key ``accounts_of``).
        """
        asked = self.filter(user_id=user_id, subject=subject, asked_again_at__isnull=False)
        asked.update(asked_again_at=None)


class ProviderIdentity(models.Model):
    """Links a person at a provider to a user here. The e-mail address is for display and links nobody (I6).

    What the provider says is of the last sign-in (``sign_in/returning.py``).
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="provider_identities",
        verbose_name=_("user"),
    )
    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH)
    subject = ExactCharField(_("subject"), max_length=255)
    issuer = ExactCharField(_("issuer"), max_length=255, blank=True)
    email = models.CharField(_("e-mail address"), max_length=256, blank=True)
    email_verified = models.BooleanField(_("e-mail address verified"), default=False)
    name = models.CharField(_("name"), max_length=128, blank=True)
    # NULL here and below, so that a process of an earlier release can still write its rows while a site is upgraded.
    claims = models.JSONField(
        _("claims"),
        null=True,
        blank=True,
        default=dict,
        help_text=_("Those that the provider's keep_claims names, by their paths."),
    )
    # Field of the user → digest of what this account wrote there.
    written = models.JSONField(null=True, blank=True, default=dict, editable=False)
    sso_domain = models.CharField(_("SSO domain"), max_length=253, blank=True)
    sso_name = models.CharField(_("SSO name"), max_length=128, blank=True)
    is_default = models.BooleanField(
        _("default account"),
        default=False,
        help_text=_("The person signed in with it on purpose, and with no other since."),
    )
    signed_out_at = models.DateTimeField(
        _("signed out at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The provider said so. Sign-ins of browsers on this site from before have ended."),
    )
    #: NULL too where what it brought has ended (``sign_in/asking_again``).
    asked_again_at = models.DateTimeField(
        _("asked for consent once more at"), null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    seen_at = models.DateTimeField(
        _("last used at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When the person last signed in with it."),
    )

    objects = ProviderIdentityQuerySet.as_manager()

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        # Operators look for people.
        indexes = [
            models.Index(fields=["subject"], name="lazyauth_identity_subject"),
            models.Index(fields=["email"], name="lazyauth_identity_email", condition=~Q(email="")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject"], name="lazyauth_identity_one_user"),
            models.UniqueConstraint(
                fields=["user"], condition=Q(is_default=True), name="lazyauth_identity_one_default"
            ),
            models.CheckConstraint(
                name="lazyauth_identity_names_person", condition=~Q(provider="") & ~Q(subject="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.subject}"
