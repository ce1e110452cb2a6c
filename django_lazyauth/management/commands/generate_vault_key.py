"""``manage.py generate_vault_key``: a new key for ``LAZYAUTH["VAULT_KEYS"]``."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.kit.crypto.new_keys import new_vault_key
from django_lazyauth.kit.crypto.site_keys import DERIVED_KEY_ID
from django_lazyauth.management.terminal import Terminal

ADVICE = """\
Keep it secret and back it up; it is printed once.

1. Put it first in LAZYAUTH["VAULT_KEYS"], before the older keys, and deploy.
2. Run manage.py rotate_vault_keys. It seals all values anew.
3. Remove the older keys."""


def _key_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text) or text == DERIVED_KEY_ID:
        raise ArgumentTypeError("it is 1 to 40 letters, digits, - and _")
    return text


class Command(Terminal):
    help = "Print a new key for sealing upstream tokens. The next steps are printed on stderr."
    example = "generate_vault_key --id 2027-01"
    #: It makes the first key of a site, too.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--id", type=_key_id, metavar="NAME", help="the name of the key; default: the date of today"
        )

    def handle(self, *args: Any, id: str | None, **options: Any) -> None:  # noqa: A002 - the name of the option
        self.stdout.write(new_vault_key(id or datetime.now(UTC).date().isoformat()))
        self.stderr.write(ADVICE, style_func=str)
