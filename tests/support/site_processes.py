"""Start and stop processes of the site, of Celery's worker and of its beat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def starting() -> Iterator[Callable[..., list[SiteProcess]]]:
    """Give a function that starts so many processes of the site; they end with the block."""
    with ExitStack() as stack:

        def start(count: int, **more: str) -> list[SiteProcess]:
            processes = [SiteProcess(**more) for _ in range(count)]
            for process in processes:
                stack.callback(process.close)
            return [process.wait_until_up() for process in processes]

        yield start


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which a process has the settings that the test has now."""
    lazyauth = dict(settings.LAZYAUTH)
    lazyauth["PROVIDERS"] = {
        name: config for name, config in lazyauth["PROVIDERS"].items() if "class" not in config
    }
    told = {
        "caches": settings.CACHES,
        "lazyauth": lazyauth,
        "database": str(connection.settings_dict["NAME"]),
    }
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.process_settings",
        "LAZYAUTH_TEST_PROCESS": json.dumps(told),
        **more,
    }


class SiteProcess:
    """One of them. ``ask`` is ``send`` and ``answer``."""

    def __init__(self, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.site_process"],
            cwd=ROOT,
            env=environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_up(self) -> SiteProcess:
        assert self.process.stdout.readline() == "up\n"
        return self

    def send(self, do: str, **job) -> None:
        self.process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the process died"
        return json.loads(line)

    def ask(self, do: str, **job):
        self.send(do, **job)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()
