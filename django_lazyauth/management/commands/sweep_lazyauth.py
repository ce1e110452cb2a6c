"""``manage.py sweep_lazyauth``: delete expired rows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_lazyauth.management.terminal import MOST_IN_BATCH, Terminal, add_json, positive
from django_lazyauth.upkeep.periodic import noted
from django_lazyauth.upkeep.sweep import BATCH_SIZE, sweep


class Command(Terminal):
    help = "Delete expired flows, spent codes past their retention, and tokens that nobody can use any more."
    example = "sweep_lazyauth --json"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch-size", type=positive(MOST_IN_BATCH), default=BATCH_SIZE, help="rows of one transaction"
        )
        add_json(parser)

    def handle(self, *args: Any, as_json: bool = False, **options: Any) -> None:
        counts, progress = {}, self.progress()
        with noted("sweep"):
            for swept in sweep(batch_size=max(1, options["batch_size"]), watch=progress.show):
                progress.clear()
                counts[swept.kind] = swept.count
                if not as_json:
                    self.stdout.write(f"{swept.kind}: {swept.count}")
        if as_json:
            self.print_json(counts)
