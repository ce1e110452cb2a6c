"""``manage.py rotate_vault_keys``: see :mod:`django_lazyauth.vault.reseal`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_lazyauth.upstream.move_in import move_all
from django_lazyauth.vault.reseal import BATCH_SIZE, reseal


class Command(BaseCommand):
    help = (
        'Seal all values anew under the first of LAZYAUTH["VAULT_KEYS"], and give rows of an earlier release their'
        " grants. It may run during traffic, be killed and be repeated. Afterwards the older keys may be removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="rows of one transaction")

    def handle(self, *, batch_size: int, **options: Any) -> None:
        if moved := move_all():
            self.stdout.write(f"{moved} upstream tokens of an earlier release have a grant now")
        for done in reseal(batch_size=max(1, batch_size)):
            self.stdout.write(f"{done.kind}: {done.count} sealed anew")
            if done.broken:
                self.stderr.write(f"{done.kind}: {done.broken} cannot be opened under any key")
