"""The tables that the benchmark prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from . import expired_tokens, log_volume
from .expired_tokens import Clearing
from .log_volume import LogVolume
from .ratios import Growth


def _print(table: Table) -> None:
    # A pipe has no width of its own; the table needs some.
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _table(caption: str, *titles: str) -> Table:
    table = Table(caption=caption)
    name, *others = titles
    table.add_column(name, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right")
    table.add_column("holds", justify="center")
    return table


def _verdict(holds: bool) -> str:
    return "[green]yes[/]" if holds else "[bold red]NO[/]"


def print_growths(growths: Sequence[Growth], sizes: Sequence[int]) -> None:
    small, *large = sizes
    table = _table(
        "Medians, and the multiple of them at a larger site. Pages: of all statements of one run, and of the one that"
        " reads the most.",
        "operation",
        f"ms at {small:,}",
        *(f"× at {size:,}" for size in large),
        "bar",
        "pages",
        "of one",
    )
    for growth in growths:
        table.add_row(
            growth.name,
            f"{growth.seconds[0] * 1000:.2f}",
            *(f"{ratio:.2f}" for ratio in growth.ratios[1:]),
            f"≤ {growth.bar}",
            " / ".join(map(str, growth.buffers)),
            " / ".join(map(str, growth.largest)),
            _verdict(growth.holds),
        )
    _print(table)


def print_log_volumes(volumes: Sequence[LogVolume]) -> None:
    table = _table(
        "Write-ahead log of one run on average, without images of pages: bytes and records.",
        "written",
        "ours",
        "peer",
        "ratio",
        "bar",
    )
    for volume in volumes:
        table.add_row(
            volume.name,
            f"{volume.ours:,.0f} in {volume.our_records:.0f}",
            f"{volume.peer:,.0f} in {volume.peer_records:.0f}",
            f"{volume.ratio:.2f}",
            f"≤ {log_volume.BAR}",
            _verdict(volume.holds),
        )
    _print(table)


def print_clearing(clearing: Clearing) -> None:
    table = _table("Medians in seconds.", "deleted", "sweep", "clear_expired", "ratio", "bar")
    table.add_row(
        f"{clearing.rows:,} refresh, access and ID tokens each",
        f"{clearing.ours:.2f}",
        f"{clearing.peer:.2f}",
        f"{clearing.ratio:.2f}",
        f"≤ {expired_tokens.BAR}",
        _verdict(clearing.holds),
    )
    _print(table)
