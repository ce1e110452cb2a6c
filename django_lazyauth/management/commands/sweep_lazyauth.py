"""``manage.py sweep_lazyauth``: delete expired rows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_lazyauth.upkeep.sweep import BATCH_SIZE, sweep


class Command(BaseCommand):
    help = "Delete expired flows, spent codes past their retention, and tokens that nobody can use any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="rows of one transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        for swept in sweep(batch_size=max(1, options["batch_size"])):
            self.stdout.write(f"{swept.kind}: {swept.count}")
