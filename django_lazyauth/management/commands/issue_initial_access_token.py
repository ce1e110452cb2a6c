"""``manage.py issue_initial_access_token``: let somebody register clients on a site without open registration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from django_lazyauth.clients.operator_actions import INITIAL_TOKEN_LIFETIME, issue_initial_access_token
from django_lazyauth.management.terminal import Terminal, add_json
from django_lazyauth.models import InitialAccessToken


class Command(Terminal):
    help = "Issue an initial access token (RFC 7591 §1.2) and print it once. Only its digest is stored."
    example = 'issue_initial_access_token --uses 5 --note "The mobile team"'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--uses", type=int, default=1, help="clients that it may register; default: 1")
        parser.add_argument(
            "--days",
            type=float,
            default=INITIAL_TOKEN_LIFETIME.days,
            help="its lifetime; default: 7",
        )
        parser.add_argument("--note", default="", help="for whom it is; shown in the admin")
        add_json(parser)

    def handle(
        self, *args: Any, uses: int, days: float, note: str, as_json: bool = False, **options: Any
    ) -> None:
        if not 1 <= uses <= 1_000_000 or not 0 < days <= 3650 or len(note) > 200:
            raise CommandError(
                "Uses: 1 to 1,000,000. Days: up to 3,650. Note: up to 200 characters.", returncode=2
            )
        row = InitialAccessToken(note=note, max_uses=uses, expires_at=timezone.now() + timedelta(days=days))
        token = issue_initial_access_token(row)
        if as_json:
            self.print_json({"token": token, "uses": uses, "expires_at": row.expires_at.isoformat()})
        else:
            self.stdout.write(token)
