"""Several at once: threads that start together, and a process of its own that can be killed at a chosen point.

``python -m tests.support.processes`` is that process: it reads one job from its input, redeems a code, and
stands still before or after COMMIT until somebody kills it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.db import OperationalError, connection, connections

from tests.support.journey import OAuthClient, redeem

#: Seconds that threads wait for each other, or for a free place at the database server.
PATIENCE = 30

Stop = Literal["before_commit", "after_commit"]


# -- threads -------------------------------------------------------------------------------------------------


def together(*actions: Callable[[], Any]) -> list[Any]:
    """Run *actions* at the same moment, each in a thread with a connection of its own.

    Returns:
        What they returned, in their order. An exception of one is raised here.
    """
    gate = threading.Barrier(len(actions), timeout=PATIENCE)
    results: list[Any] = [None] * len(actions)
    errors: list[BaseException] = []

    def run(place: int, action: Callable[[], Any]) -> None:
        try:
            _connect()
            gate.wait()
            results[place] = action()
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def _connect() -> None:
    """Connect before the start, so that all start together; wait where the server has no free place."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            connection.ensure_connection()
        except OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def until(condition: Callable[[], Any]) -> None:
    """Wait until *condition* holds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


# -- a process -----------------------------------------------------------------------------------------------


class Killable:
    """The mark on the connections of a process, by which PostgreSQL tells that they are gone.

    What a process had sent is still done after its SIGKILL: a COMMIT too. Whoever reads at once may read too early.
    """

    def __init__(self) -> None:
        self._name = f"test-{uuid.uuid4().hex}"
        self.environment = {**os.environ, "PGAPPNAME": self._name}

    def wait(self) -> None:
        """Return when the server has ended all that the process began."""
        if connection.vendor != "postgresql":
            return
        watcher = connection.copy()
        watcher.inc_thread_sharing()

        def are_gone() -> bool:
            with watcher.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [self._name])
                return cursor.fetchone() is None

        try:
            until(are_gone)
        finally:
            watcher.close()


class Redemption:
    """A process that redeems a code; a test waits for it to stand still, and kills it."""

    def __init__(self, process: subprocess.Popen[str], killable: Killable) -> None:
        self._process = process
        self._killable = killable

    def wait_until_it_stands(self) -> None:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line == "standing\n", (line, self._process.poll())

    def kill(self) -> None:
        """Take it away as the kernel does when memory is short: nothing of it runs any more."""
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL
        self._killable.wait()


@contextlib.contextmanager
def redemption_in_a_process(client: OAuthClient, code: str, *, stop: Stop) -> Iterator[Redemption]:
    """Redeem *code* in a process of its own, which stands still at *stop*."""
    job = {
        "database": connection.settings_dict["NAME"],
        "lazyauth": dict(settings.LAZYAUTH),
        "client": vars(client),
        "code": code,
        "stop": stop,
    }
    killable = Killable()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.processes"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=killable.environment,
    ) as process:
        try:
            process.stdin.write(json.dumps(job))  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
            yield Redemption(process, killable)
        finally:
            process.kill()


def _stand_still() -> None:
    print("standing", flush=True)  # noqa: T201 - the test reads it
    signal.pause()


def _work(job: dict[str, Any]) -> None:
    commit = connection.commit

    def commit_and_stand() -> None:
        if job["stop"] == "before_commit":
            _stand_still()
        commit()
        if job["stop"] == "after_commit":
            _stand_still()

    connection.commit = commit_and_stand  # type: ignore[method-assign]
    redeem(OAuthClient(**job["client"]), job["code"])


if __name__ == "__main__":
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    received = json.load(sys.stdin)
    settings.DATABASES["default"]["NAME"] = received["database"]
    settings.LAZYAUTH = received["lazyauth"]
    django.setup()
    _work(received)
