"""``manage.py rotate_vault_keys``: see :mod:`django_lazyauth.vault.reseal`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.management.terminal import MOST_IN_BATCH, Terminal, add_json, positive
from django_lazyauth.upstream.move_in import move_all
from django_lazyauth.vault.reseal import BATCH_SIZE, reseal


class Command(Terminal):
    help = (
        'Seal all values anew under the first of LAZYAUTH["VAULT_KEYS"], and give rows of an earlier release their'
        " grants. It may run during traffic, be killed and be repeated. Afterwards the older keys may be removed."
    )
    example = "rotate_vault_keys --json"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch-size", type=positive(MOST_IN_BATCH), default=BATCH_SIZE, help="rows of one transaction"
        )
        add_json(parser)

    def handle(self, *, batch_size: int, as_json: bool = False, **options: Any) -> None:
        if (moved := move_all()) and not as_json:
            self.stdout.write(f"{moved} upstream tokens of an earlier release have a grant now")
        kinds, progress = [], self.progress()
        for done in reseal(batch_size=max(1, batch_size), watch=progress.show):
            progress.clear()
            kinds.append({"kind": done.kind, "count": done.count, "broken": done.broken})
            if as_json:
                continue
            self.stdout.write(f"{done.kind}: {done.count} sealed anew")
            if done.broken:
                self.stderr.write(f"{done.kind}: {done.broken} cannot be opened under any key")
        if as_json:
            self.print_json({"moved": moved, "kinds": kinds})
