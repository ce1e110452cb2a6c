"""A process of its own that works on the test's database: refreshes, POSTs, rotates vault keys, or migrates.

``python -m tests.support.racers`` reads one job from its input, says ``ready``, waits for a line, works, and
prints what came of it as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, connections

from tests.support.processes import Killable

ROOT = Path(__file__).parents[2]
#: Threads of one process that hold a connection at the same time: the server has a hundred for everybody.
CONNECTIONS = 10


class Racer:
    """The process, as the test sees it."""

    def __init__(self, process: subprocess.Popen[str], killable: Killable) -> None:
        self._process = process
        self._killable = killable

    def go(self) -> None:
        self._process.stdin.write("go\n")
        self._process.stdin.close()

    def result(self) -> Any:
        line = self._process.stdout.readline()
        assert self._process.wait(timeout=60) == 0
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL
        self._killable.wait()


@contextlib.contextmanager
def racer(**job: Any) -> Iterator[Racer]:
    """Start a process with *job*; it waits for :meth:`Racer.go`. After the block nothing of it runs anywhere."""
    killable = Killable()
    job |= {"database": connection.settings_dict["NAME"], "lazyauth": settings.LAZYAUTH}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.racers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=killable.environment,
    ) as process:
        try:
            process.stdin.write(json.dumps(job, default=str) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield Racer(process, killable)
        finally:
            process.kill()
            process.wait()
            killable.wait()


def _refresh(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for a fresh token in so many threads at once, in turn for each of ``sessions``; return what each got.

    With ``times`` each thread has it renewed so often, one time after the other.
    """
    from django_lazyauth.upstream.fresh_token import fresh_token

    start = threading.Barrier(job["threads"])
    places = threading.BoundedSemaphore(CONNECTIONS)
    results: list[dict[str, Any]] = []

    sessions = job.get("sessions") or [job["session_id"]]

    def ask(number: int) -> None:
        try:
            credential = fresh_token(
                UUID(sessions[number % len(sessions)]),
                job["provider"],
                user_id=job["user_id"],
                client_id=job["client_id"],
                force="times" in job,
            )
            results.append({"version": credential.version, "token": credential.access_token})
        except Exception as error:  # noqa: BLE001 - the test says that there is none
            results.append({"error": repr(error)})
        finally:
            connections.close_all()

    def ask_often(number: int) -> None:
        start.wait()
        with places:
            for turn in range(job.get("times", 1)):
                ask(number + turn)

    threads = [threading.Thread(target=ask_often, args=(number,)) for number in range(job["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _post(job: dict[str, Any]) -> list[tuple[int, str]]:
    """Send every form of ``posts`` at once, (path, form) or (path, form, headers) each.

    Return status and body of each answer, in order.
    """
    from tests.support.journey import make_browser, post_form

    start = threading.Barrier(len(job["posts"]))
    places = threading.BoundedSemaphore(CONNECTIONS)
    results: list[tuple[int, str]] = [(0, "")] * len(job["posts"])

    def send(number: int, path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> None:
        browser = make_browser()
        start.wait()
        with places:
            try:
                answer = post_form(browser, path, form, headers=headers)
                results[number] = (answer.status_code, answer.content.decode())
            except Exception as error:  # noqa: BLE001 - the test says that there is none
                results[number] = (0, repr(error))
            finally:
                connections.close_all()

    threads = [
        threading.Thread(target=send, args=(number, *post)) for number, post in enumerate(job["posts"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _press(job: dict[str, Any]) -> list[int]:
    """Press the button of each of ``pages`` at once, each in a browser of its own; return the statuses.

    A page is the cookies of its browser, where its form goes, and the fields.
    """
    from tests.support.journey import make_browser, post

    start = threading.Barrier(len(job["pages"]))
    results = [0] * len(job["pages"])

    def press(number: int, cookies: dict[str, str], action: str, fields: dict[str, str]) -> None:
        browser = make_browser()
        browser.cookies.load(cookies)
        start.wait()
        try:
            results[number] = post(browser, action, fields).status_code
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=press, args=(number, *page)) for number, page in enumerate(job["pages"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _rotate(job: dict[str, Any]) -> dict[str, int]:
    from django_lazyauth.vault.reseal import reseal

    return {done.kind: done.count for done in reseal(batch_size=job["batch_size"])}


def _migrate(job: dict[str, Any]) -> dict[str, Any]:
    import io

    from django.core.management import call_command

    out = io.StringIO()
    call_command("migrate_legacy_tokens", *job["arguments"], "--json", stdout=out, stderr=io.StringIO())
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


if __name__ == "__main__":
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    received = json.loads(sys.stdin.readline())
    settings.DATABASES["default"]["NAME"] = received["database"]
    settings.LAZYAUTH = received["lazyauth"]
    django.setup()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    kinds = {"refresh": _refresh, "post": _post, "press": _press, "rotate": _rotate, "migrate": _migrate}
    work = kinds[received["work"]]
    sys.stdout.write(json.dumps(work(received)) + "\n")
