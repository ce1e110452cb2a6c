"""Sessions, for operators."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from .authorization import PendingAuthorization


class ClientSession(PendingAuthorization):
    """An exchanged authorization whose tokens are alive, for the admin. The row is the same."""

    #: When its tokens were refreshed last; ``None`` where nobody asked.
    last_used_at: datetime | None = None

    class Meta:
        proxy = True
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        permissions = [
            ("end_clientsession", "Can end a session"),
            ("end_all_clientsession", "Can end all sessions of a person, a client or a provider"),
        ]
