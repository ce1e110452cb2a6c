"""What a person granted to a session that django-oauth-toolkit began."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .token_facts import THUMBPRINT_LENGTH


class FamilyGrantQuerySet(models.QuerySet["FamilyGrant"]):
    def begun_before(self, moment: datetime) -> Self:
        """Keep the grants that were written down before *moment*."""
        return self.filter(created_at__lt=moment)


class FamilyGrant(models.Model):
    """The scopes and resources of one family of refresh tokens, written down at its first use here.

    A session that began here has its grant in the row of its authorization request. There is no foreign key: a family
    has no row of its own.
    """

    family = models.UUIDField(_("family"), primary_key=True, editable=False)
    scope = models.TextField(_("scope"), blank=True)
    resource = models.JSONField(_("resource"), default=list, blank=True)
    jkt = models.CharField(
        _("thumbprint of the key"),
        max_length=THUMBPRINT_LENGTH,
        blank=True,
        default="",
        # So that a process of an earlier release can still write its rows while a site is upgraded.
        db_default="",
        help_text=_("Of the key that its tokens are bound to; empty for bearer tokens."),
    )
    # Set where the session began with bearer tokens. Those from before are not bound.
    bound_at = models.DateTimeField(_("bound to a key at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = FamilyGrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("grant of a session")
        verbose_name_plural = _("grants of sessions")
        indexes = [models.Index(fields=["created_at"], name="lazyauth_family_grant_age")]

    def __str__(self) -> str:
        return f"grant of {self.family}"
