"""All sessions of a person, a client or a provider end: a job in batches, which any process can go on with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField


class Ending(models.TextChoices):
    """Whose sessions end."""

    PERSON = "person", _("person")
    CLIENT = "client", _("client")
    PROVIDER = "provider", _("provider")


#: How long a process owns a job without having ended a batch of it.
CLAIM_TIME: Final = timedelta(minutes=2)


class EndingJobQuerySet(models.QuerySet["EndingJob"]):
    def unfinished(self) -> EndingJobQuerySet:
        return self.filter(finished_at__isnull=True)

    def claim(self, pk: Any, lease: str) -> bool:
        """Take a job that nobody works on; of concurrent processes one gets it. By the clock of the database."""
        free = self.unfinished().filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=Now()), pk=pk)
        return bool(free.update(lease=lease, claimed_until=Now() + CLAIM_TIME))

    def advance(self, pk: Any, lease: str, *, cursor: str, ended: int) -> bool:
        """Note a batch, if the job is still ours."""
        ours = self.unfinished().filter(pk=pk, lease=lease)
        return bool(
            ours.update(
                cursor=cursor,
                ended=F("ended") + ended,
                claimed_until=Now() + CLAIM_TIME,
                updated_at=timezone.now(),
            )
        )

    def finish(self, pk: Any, lease: str) -> None:
        now = timezone.now()
        self.unfinished().filter(pk=pk, lease=lease).update(
            finished_at=now, updated_at=now, claimed_until=None, lease=""
        )


class EndingJob(models.Model):
    """One order of an operator.

    Attributes:
        target: Primary key of the person or client, or name of the provider.
        cursor: Key of the last row that a batch looked at; empty before the first.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Ending.choices)
    target = ExactCharField(_("of"), max_length=PROVIDER_LENGTH)
    label = models.CharField(_("name"), max_length=255, blank=True)
    found = models.PositiveIntegerField(_("sessions found"), default=0)
    ended = models.PositiveIntegerField(_("sessions ended"), default=0)
    cursor = models.CharField(_("cursor"), max_length=64, blank=True, editable=False)
    reason = models.CharField(_("why"), max_length=255, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("started by"),
    )
    lease = models.CharField(_("lease"), max_length=64, blank=True, editable=False)
    claimed_until = models.DateTimeField(_("claimed until"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("began at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("last batch at"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True, editable=False)

    objects = EndingJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("end of sessions")
        verbose_name_plural = _("ends of sessions")
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(name="lazyauth_ending_kind_known", condition=Q(kind__in=Ending.values)),
        ]
        indexes = [
            models.Index(fields=["id"], name="lazyauth_ending_open", condition=Q(finished_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.label or self.target}"
