"""What the use of a refresh token answered, sealed, for whoever presents the same token again in time."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SealedSuccessorQuerySet(models.QuerySet["SealedSuccessor"]):
    def of_family(self, family: UUID) -> Self:
        """Return what was answered to the refresh tokens of one family."""
        return self.filter(family=family)

    def over(self, now: datetime) -> Self:
        """Return those that answer nobody any more."""
        return self.filter(expires_at__lt=now)


class SealedSuccessor(models.Model):
    """A token response under a key derived from the refresh token that it answered (I10).

    The row holds neither that token nor anything of the key, so nobody reads the response from here. One row per
    use: the digest is unique. No foreign keys: the row outlives nothing for longer than the grace, and is deleted
    with its family.
    """

    id = models.BigAutoField(primary_key=True)
    token_digest = models.CharField(
        _("digest of the refresh token that was used"), max_length=64, unique=True, editable=False
    )
    family = models.UUIDField(_("family"), editable=False)
    sealed = models.TextField(_("sealed token response"), editable=False)
    expires_at = models.DateTimeField(_("expires at"), editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = SealedSuccessorQuerySet.as_manager()

    class Meta:
        verbose_name = _("sealed successor")
        verbose_name_plural = _("sealed successors")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")),
                name="lazyauth_successor_has_a_grace",
            ),
        ]
        indexes = [
            models.Index(fields=["family"], name="lazyauth_successor_family"),
            models.Index(fields=["expires_at"], name="lazyauth_successor_expiry"),
        ]

    def __str__(self) -> str:
        return f"successor in {self.family}"
