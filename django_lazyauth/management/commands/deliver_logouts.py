"""``manage.py deliver_logouts``: send the logout tokens that are due. For cron on a site without Celery."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.management.terminal import Terminal, add_json
from django_lazyauth.sessions.backchannel import deliver_due
from django_lazyauth.upkeep.periodic import noted


class Command(Terminal):
    help = "Send the logout tokens that are due (OpenID Connect Back-Channel Logout)."
    example = "deliver_logouts --json"

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, *args: Any, as_json: bool = False, **options: Any) -> None:
        with noted("deliver_logouts"):
            progress = self.progress()
            tried = deliver_due(partial(progress.show, "logouts"))
            progress.clear()
        if as_json:
            self.print_json({"tried": tried})
        else:
            self.stdout.write(f"logouts tried: {tried}")
