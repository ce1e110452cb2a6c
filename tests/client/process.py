"""Callers in processes of their own, started by ``test_processes.py``.

``python -m tests.client.process refresh DIRECTORY COUNT`` begins that many processes which refresh at the same moment.
Each prints the access token, or the reason why there is none. The tasks of ``steps.py`` kill a child before each
change that it makes to the disk, one after the other, and print how many there were and what was wrong after each.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from django_lazyauth.client import ClientError, refresh_access_token
from tests.client import steps

#: What changes the disk. A file that is being written has no name that anybody reads.
CHANGES = ("os.rename", "os.link", "os.remove")


def refresh(directory: Path, count: int) -> str:
    """Fork *count* processes, each of which waits until all are there."""
    begin, ready = os.pipe(), os.pipe()
    children = []
    for _ in range(count):
        if (child := os.fork()) == 0:
            os.close(begin[1])
            os.write(ready[1], b".")
            os.read(begin[0], 1)
            try:
                heard = refresh_access_token(steps.store_in(directory)).access_token
            except ClientError as error:
                heard = error.reason
            os.write(1, f"{heard}\n".encode())
            os._exit(0)
        children.append(child)
    for _ in children:
        os.read(ready[0], 1)
    os.close(begin[1])
    for child in children:
        os.waitpid(child, 0)
    return ""


def killed(
    directory: Path, prepare: Callable[[Path], None], work: Callable[[Path], None], look: Callable
) -> str:
    """Kill *work* before its first change, then before its second, and so on, until it ends by itself."""
    wrong: list[str] = []
    for number in range(100):
        place = directory / str(number)
        prepare(place)
        if not _is_killed(lambda: work(place), number):  # noqa: B023  The child calls it before the next turn.
            return f"{number} {wrong}"
        if (found := look(place)) is not None:
            wrong.append(f"{number}: {found}")
        shutil.rmtree(place)
    return "it never ended"


def _is_killed(work: Callable[[], None], number: int) -> bool:
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, _: object) -> None:
            nonlocal seen
            if event in CHANGES:
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(arguments: list[str]) -> str:
    task, directory, *more = arguments
    if task == "refresh":
        return refresh(Path(directory), int(more[0]))
    return killed(Path(directory), *steps.STEPS[task])


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]) + "\n")
