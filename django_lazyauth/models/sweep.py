"""Where the next sweep goes on in a table that has no index on what expires."""

from __future__ import annotations

from django.db import models


class SweepPosition(models.Model):
    """The last primary key that a sweep looked at. Without a row the sweep begins with the first."""

    table = models.CharField(max_length=128, primary_key=True)
    after = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"{self.table} after {self.after}"
