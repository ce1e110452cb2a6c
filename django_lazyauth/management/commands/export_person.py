"""``manage.py export_person WHO``: what this site holds about a person, as JSON."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.management.terminal import Terminal, find_person
from django_lazyauth.sessions.person import export_person


class Command(Terminal):
    help = "Print what this site holds about a person, as JSON. No token and no password is in it."
    example = "export_person ada@example.org > ada.json"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="primary key, user name, e-mail address, or subject at a provider")

    def handle(self, *args: Any, who: str, **options: Any) -> None:
        self.print_json(export_person(find_person(who)))
