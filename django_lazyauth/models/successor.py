"""The sealed response to a refresh token, for a client that presents the same token again within the grace."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SealedSuccessorQuerySet(models.QuerySet["SealedSuccessor"]):
    def of_family(self, family: UUID) -> Self:
        """Keep the responses to the refresh tokens of one family."""
        return self.filter(family=family)

    def expired(self, now: datetime) -> Self:
        """Keep the responses whose grace has ended."""
        return self.filter(expires_at__lt=now)


class SealedSuccessor(models.Model):
    """A token response under a key derived from the refresh token that it answered (I10).

    The row holds neither the token nor the key, so the database alone does not reveal the response. The digest is
    unique: one row per use. There is no foreign key: the row lives as long as the grace and is deleted with its
    family.
    """

    id = models.BigAutoField(primary_key=True)
    token_digest = models.CharField(
        _("digest of the refresh token that was used"), max_length=64, editable=False
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
            models.UniqueConstraint(fields=["token_digest"], name="lazyauth_successor_one_a_use"),
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
