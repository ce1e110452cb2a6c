"""What the commands share: help with an example, JSON, errors in one line.

The exit status is 0 if all is well, 1 if something could not be done, and 2 for a command line that cannot be
understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_lazyauth.users.people import find_people


class Terminal(BaseCommand):
    """A command.

    Attributes:
        example: A command line that does something useful, after ``manage.py``.
    """

    example: ClassVar[str]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, epilog=f"Example: manage.py {self.example}", **kwargs
        )

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def require_known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """
    Raises:
        CommandError: One of *names* is unknown. The error says which there are.
    """
    there = list(known)
    for name in names:
        if name not in there:
            choices = f"there are {', '.join(there)}" if there else "there is none"
            raise CommandError(f"no {what} {name}; {choices}", returncode=2)


def find_person(term: str) -> AbstractBaseUser:
    """Return the one user whom *term* names: primary key, user name, e-mail address or subject at a provider.

    Raises:
        CommandError: It names nobody, or several people. The error lists their primary keys.
    """
    found = find_people(term).users
    if not found:
        raise CommandError(f"nobody is called {term}", returncode=1)
    if len(found) > 1:
        keys = ", ".join(str(key) for key in found)
        raise CommandError(
            f"{len(found)} people are called {term}; give one of the primary keys {keys}", returncode=1
        )
    user: AbstractBaseUser = get_user_model()._default_manager.get(pk=found[0])
    return user
