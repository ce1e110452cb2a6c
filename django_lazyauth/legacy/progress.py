"""A progress bar with rate and time left, on a terminal and if rich is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import OutputWrapper


class Silent:
    """Draws nothing."""

    def __init__(self, stderr: OutputWrapper) -> None:
        self._stderr = stderr

    def start(self, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def waiting(self) -> None:
        self._stderr.write("Another migration is running: waiting for it to end.")


class Bar(Silent):
    """Draws with rich."""

    def __init__(self, stderr: OutputWrapper, progress: Any) -> None:
        super().__init__(stderr)
        self._progress = progress
        self._task = progress.add_task("rows", start=False, total=None)

    def start(self, total: int | None) -> None:
        self._progress.update(self._task, total=total)
        self._progress.start_task(self._task)

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)


@contextmanager
def show_progress(stderr: OutputWrapper, *, is_shown: bool) -> Iterator[Silent]:
    """Return the progress bar, or one that draws nothing."""
    progress = _bar(stderr) if is_shown and stderr.isatty() else None
    if progress is None:
        yield Silent(stderr)
        return
    with progress:
        yield Bar(stderr, progress)


def _bar(stderr: OutputWrapper) -> Any:
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text
    except ImportError:
        return None

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")

    # Django's wrapper would end every piece with a new line.
    out: Any = stderr._out
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(file=out))
