"""``manage.py lazyauth_worker``: the periodic jobs in a loop, for a site without Celery."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_lazyauth.management.terminal import Terminal
from django_lazyauth.upkeep import jobs
from django_lazyauth.upkeep.schedule import JOBS


class Command(Terminal):
    help = (
        "Run the periodic jobs: the sweep, keys of providers, back-channel logouts. For systemd, a container or a "
        "Procfile on a site without Celery. SIGTERM and Ctrl-C end it after the job that runs."
    )
    example = "lazyauth_worker"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="run each job once and end, for cron")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if once:
            failed = [job.name for job in JOBS if not jobs.run(job)]
            if failed:
                raise CommandError(f"{', '.join(failed)} failed; the log says how", returncode=1)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        for job in JOBS:
            self.stdout.write(f"{job.name}: every {job.every.total_seconds():g} s")
        self.stdout.flush()
        jobs.run_until(stop)
