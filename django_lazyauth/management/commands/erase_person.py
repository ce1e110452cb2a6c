"""``manage.py erase_person WHO``: end everything of a person and delete them."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_lazyauth.management.terminal import Terminal, add_json, find_person
from django_lazyauth.sessions.person import PersonKept, erase_person


class Command(Terminal):
    help = "End all sessions of a person, tell the applications, and delete the user with all that is held about them."
    example = "erase_person ada@example.org --yes"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="primary key, user name, e-mail address, or subject at a provider")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_json(parser)

    def handle(self, *args: Any, who: str, yes: bool, as_json: bool, **options: Any) -> None:
        user = find_person(who)
        key, name = user.pk, str(user)
        if not yes:
            self._ask(name)
        try:
            erased = erase_person(user)
        except PersonKept as kept:
            raise CommandError(f"{name} was not erased: kept by {kept}", returncode=1) from None
        if as_json:
            self.print_json(
                {"user": str(key), "sessions_ended": erased.sessions, "identities_deleted": erased.identities}
            )
        else:
            self.stdout.write(
                f"{name} was erased: {erased.sessions} sessions, {erased.identities} identities"
            )

    def _ask(self, name: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("nobody can be asked here; give --yes", returncode=2)
        if self.ask(f"Type {name} to erase them for ever:") != name.strip():
            raise CommandError("nothing was erased", returncode=1)
