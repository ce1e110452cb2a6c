"""``manage.py keep_subjects TYPE``: see :mod:`django_lazyauth.upkeep.kept_subjects`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.management.terminal import MOST_IN_BATCH, Terminal, add_json, positive
from django_lazyauth.upkeep.kept_subjects import BATCH_SIZE, CannotKeep, keep_subjects


class Command(Terminal):
    help = (
        'Before LAZYAUTH["SUBJECT_TYPE"] changes to TYPE: write down what clients call people today, so that they go'
        " on calling them that. It may run during traffic, be stopped and be repeated. After the change, run it once"
        " more with --from and the earlier type, for people who came in between."
    )
    example = "keep_subjects opaque --dry-run"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "after",
            choices=("opaque", "pairwise"),
            metavar="TYPE",
            help="the type to come: opaque or pairwise",
        )
        parser.add_argument(
            "--from",
            choices=("public", "opaque"),
            dest="before",
            help="the type of today, if it is not the setting",
        )
        parser.add_argument("--dry-run", action="store_true", dest="is_dry", help="count, and write nothing")
        parser.add_argument(
            "--batch-size", type=positive(MOST_IN_BATCH), default=BATCH_SIZE, help="people of one transaction"
        )
        add_json(parser)

    def handle(
        self,
        *,
        after: str,
        before: str | None,
        is_dry: bool,
        batch_size: int,
        as_json: bool = False,
        **options: Any,
    ) -> None:
        progress = self.progress()
        try:
            kept = keep_subjects(
                before or lazyauth_settings.subject_type,
                after,
                batch_size=batch_size,
                is_dry=is_dry,
                watch=partial(progress.show, "people"),
            )
        except CannotKeep as refused:
            raise CommandError(str(refused), returncode=1) from None
        progress.clear()
        if as_json:
            self.print_json({"people": kept.people, "subjects": kept.written, "dry_run": is_dry})
        else:
            done = "would be written" if is_dry else "written"
            self.stdout.write(f"{kept.people:,} people: {kept.written:,} subjects {done}")
