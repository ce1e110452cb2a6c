"""Measure the claims on every database there is, print one table, write ``build/bench.json``.

Arguments are names of claims without ``claim_`` (``http_refresh``). Exits with 1 if a claim does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[2]
REPORT = PROJECT / "build" / "bench.json"
DATABASES = ("sqlite", "postgresql")


def main() -> int:
    # A pipe has no width of its own; the table needs some.
    console = Console(width=None if sys.stdout.isatty() else 120)
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    for database in DATABASES:
        reason = _unreachable() if database == "postgresql" else None
        if reason is None:
            rows += _measure(database)
        else:
            missing.append(f"Not measured on PostgreSQL: {reason}. Set LAZYAUTH_TEST_POSTGRES_URL.")
    console.print(_table(rows))
    for note in missing:
        console.print(note, style="bold yellow")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps([_reported(row) for row in rows], indent=2) + "\n")
    return 0 if all(_holds(row) for row in rows) else 1


def _unreachable() -> str | None:
    """Return why PostgreSQL cannot be measured, or ``None``. Names no user and no password."""
    try:
        import psycopg
    except ImportError:
        return "psycopg is not installed"
    from tests.settings import POSTGRES_URL

    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return f"no connection ({type(error).__name__})"
    return None


def _measure(database: str) -> list[dict[str, Any]]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measure", *sys.argv[1:]],
        cwd=PROJECT,
        env=os.environ | {"LAZYAUTH_TEST_DATABASE": database},
        stdout=subprocess.PIPE,
        check=True,
    )
    rows: list[dict[str, Any]] = json.loads(finished.stdout)
    return rows


def _ratio(row: dict[str, Any]) -> float:
    return row["ours"] / row["peer"]


def _holds(row: dict[str, Any]) -> bool:
    return _ratio(row) <= row["bound"]


def _reported(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "claim": row["claim"],
        "ours": row["ours"],
        "peer": row["peer"],
        "ratio": _ratio(row),
        "bound": row["bound"],
        "holds": _holds(row),
    }


def _pair(counts: list[int | None]) -> str:
    return " / ".join("–" if count is None else str(count) for count in counts)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(caption="Medians in milliseconds. Queries and commits: of one run, ours / peer's.")
    table.add_column("claim", min_width=40)
    for title in ("ours", "peer", "ratio", "bound", "queries", "commits"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("holds", justify="center")
    for row in rows:
        table.add_row(
            row["claim"],
            f"{row['ours'] * 1000:.2f}",
            f"{row['peer'] * 1000:.2f}",
            f"{_ratio(row):.3f}",
            f"≤ {row['bound']}",
            _pair(row["queries"]),
            _pair(row["commits"]),
            "[green]yes[/]" if _holds(row) else "[bold red]NO[/]",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
