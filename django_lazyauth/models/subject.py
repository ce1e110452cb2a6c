"""What clients call a person (OpenID Connect Core §8), where that is not the primary key."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import ExactCharField

#: Characters of a sector: a host, or a client id with a word before it.
SECTOR_LENGTH = 280


class SubjectIdentifier(models.Model):
    """The ``sub`` of a person at the clients of one sector. Written with the first tokens, and never changed.

    A subject that ``keep_subjects`` wrote stands in each sector where the person was known by it. So it is unique in a
    sector, and belongs to one user in all of them.
    """

    id = models.BigAutoField(primary_key=True)
    # Found by the constraint, whose index begins with it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        verbose_name=_("user"),
    )
    sector = ExactCharField(
        _("sector"),
        max_length=SECTOR_LENGTH,
        blank=True,
        help_text=_("The host of the clients that know the person by it; empty for all clients."),
    )
    subject = ExactCharField(_("subject"), max_length=255)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("subject identifier")
        verbose_name_plural = _("subject identifiers")
        constraints = [
            models.UniqueConstraint(fields=["user", "sector"], name="lazyauth_subject_once"),
            # Whom a token is about is looked up by its subject alone.
            models.UniqueConstraint(fields=["subject", "sector"], name="lazyauth_subject_one_user"),
            models.CheckConstraint(name="lazyauth_subject_is_one", condition=~models.Q(subject="")),
        ]

    def __str__(self) -> str:
        return self.subject
