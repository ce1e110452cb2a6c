"""``manage.py deliver_logouts``: send the logout tokens that are due. For cron on a site without Celery."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from django_lazyauth.sessions.backchannel import deliver_due


class Command(BaseCommand):
    help = "Send the logout tokens that are due (OpenID Connect Back-Channel Logout)."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"logouts tried: {deliver_due()}")
