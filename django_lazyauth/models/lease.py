"""Work that one process does at a time, across all processes that use the database.

A lock of a connection would stay behind on a pooled server connection, as PgBouncer hands it to the next client. A row
is independent of connections, and a lease of a process that died ends by the clock of the database.
"""

from __future__ import annotations

from django.db import models


class NamedLease(models.Model):
    """Who does the work of this name, and until when nobody else may begin it."""

    name = models.CharField(primary_key=True, max_length=64, editable=False)
    holder = models.CharField(max_length=32, blank=True, editable=False)
    held_until = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = "lease"
        verbose_name_plural = "leases"

    def __str__(self) -> str:
        return self.name
