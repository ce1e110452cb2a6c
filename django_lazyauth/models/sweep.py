"""Where the next sweep goes on in a table that has no index on what expires."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SweepPosition(models.Model):
    """The last primary key that a sweep looked at. Without a row the sweep begins with the first."""

    table = models.CharField(_("table"), max_length=128, primary_key=True)
    after = models.CharField(_("after"), max_length=255)

    class Meta:
        verbose_name = _("position of the sweep")
        verbose_name_plural = _("positions of the sweep")

    def __str__(self) -> str:
        return f"{self.table} after {self.after}"
