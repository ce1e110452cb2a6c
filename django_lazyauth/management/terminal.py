"""What the commands share: help with an example, JSON, errors in one line.

The exit status is 0 if all is well, 1 if something could not be done, and 2 for a command line that cannot be
understood.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from django_lazyauth.users.people import find_people
from django_lazyauth.users.resolver import find_users

#: Columns of a progress bar.
WIDTH: Final = 24
#: Rows of one transaction.
MOST_IN_BATCH: Final = 100_000


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

    def execute(self, *args: Any, **options: Any) -> str | None:
        """
        Raises:
            CommandError: An argument is no text in the encoding of the terminal. No database could look it up.
        """
        for value in options.values():
            if not _is_text(value):
                raise CommandError(f"cannot be read: {value!a}", returncode=2)
        return super().execute(*args, **options)

    def ask(self, question: str) -> str:
        """Ask on standard error, so that the output is the answer alone. Return what was typed; nothing at its end."""
        self.stderr.write(question, ending=" ")
        self.stderr.flush()
        try:
            return input().strip()
        except EOFError:
            return ""

    def progress(self) -> Progress:
        """Return what shows how far a long command is, where somebody watches."""
        return Progress(self.stderr)

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


class Progress:
    """One line on standard error that is written anew. Nothing where that is no terminal: a log wants no such line."""

    def __init__(self, stderr: OutputWrapper) -> None:
        self._stderr = stderr
        self._is_shown = stderr.isatty()
        self._shown_at = -1.0

    def show(self, what: str, done: int, total: int) -> None:
        """Say that *done* of *total* are done, ten times a second at most."""
        now = time.monotonic()
        if not self._is_shown or (done < total and now - self._shown_at < 0.1):
            return
        self._shown_at = now
        full = WIDTH * min(done, total) // max(total, 1)
        self._write(f"[{'#' * full}{'.' * (WIDTH - full)}] {what}: {done:,} of {total:,}")

    def clear(self) -> None:
        # What comes next may be long: it is shown at once.
        self._shown_at = -1.0
        if self._is_shown:
            self._write("")

    def _write(self, line: str) -> None:
        # Back to the beginning, and what stood there goes (ECMA-48 §8.3.41).
        self._stderr.write(f"\r\x1b[K{line}", style_func=str, ending="")
        self._stderr.flush()


def _is_text(value: Any) -> bool:
    """Say whether *value*, or all that it lists, can be written in UTF-8. Python reads other bytes as surrogates."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_text, value))
    return not isinstance(value, str) or not any("\ud800" <= letter <= "\udfff" for letter in value)


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def positive(most: int) -> Callable[[str], int]:
    """Return the type of an argument that is a number from 1 to *most*."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= most):
            raise ArgumentTypeError(f"it is a number from 1 to {most:,}")
        return int(text)

    return number


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
    # Whom an account at a provider has the address of may be somebody else than the user with that address (I6).
    found = list(dict.fromkeys([*find_people(term).users, *(find_users(term) if term.strip() else ())]))
    if not found:
        raise CommandError(f"nobody is called {term or 'nothing'}", returncode=1)
    if len(found) > 1:
        keys = ", ".join(str(key) for key in found)
        raise CommandError(
            f"{len(found)} people are called {term}; give one of the primary keys {keys}", returncode=1
        )
    user: AbstractBaseUser = get_user_model()._default_manager.get(pk=found[0])
    return user
