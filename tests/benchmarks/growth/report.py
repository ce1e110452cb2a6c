"""The tables that the benchmark prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .ratios import Growth


def console() -> Console:
    # A pipe has no width of its own; the table needs some.
    return Console(width=None if sys.stdout.isatty() else 130)


def print_growths(growths: Sequence[Growth], sizes: Sequence[int]) -> None:
    small, *large = sizes
    table = Table(
        caption="Medians, and the multiple of them at a larger site. Pages: of all statements of one run, and of the"
        " one that reads the most."
    )
    table.add_column("operation", no_wrap=True)
    table.add_column(f"ms at {small:,}", justify="right")
    for size in large:
        table.add_column(f"× at {size:,}", justify="right")
    table.add_column("bar", justify="right")
    table.add_column("pages", justify="right")
    table.add_column("of one", justify="right")
    table.add_column("holds", justify="center")
    for growth in growths:
        table.add_row(
            growth.name,
            f"{growth.seconds[0] * 1000:.2f}",
            *(f"{ratio:.2f}" for ratio in growth.ratios[1:]),
            f"≤ {growth.bar}",
            " / ".join(map(str, growth.buffers)),
            " / ".join(map(str, growth.largest)),
            "[green]yes[/]" if growth.holds else "[bold red]NO[/]",
        )
    console().print(table)
