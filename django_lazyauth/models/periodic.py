"""When what must run regularly ran last, and what operators look at first."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .keys import ProviderKeySet


class PeriodicRun(models.Model):
    """The last run of one periodic task, by Celery or by cron. ``finished_at`` is empty while it runs or was killed."""

    name = models.CharField(_("task"), max_length=64, primary_key=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    error = models.CharField(_("class of the error"), max_length=128, blank=True)

    class Meta:
        verbose_name = _("periodic run")
        verbose_name_plural = _("periodic runs")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Overview(ProviderKeySet):
    """No rows of its own: the page of the admin that operators begin at."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = _("overview")
        # The admin sorts by name. A blank comes first.
        verbose_name_plural = _(" Overview")
