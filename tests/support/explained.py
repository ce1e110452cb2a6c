"""What PostgreSQL reads for each statement of a piece of work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

#: A statement that passes more rows than this one by one scans the table.
SCANNED = 1000
#: What stands before and after a statement that is explained.
IN_TRANSACTION = (
    "SAVEPOINT explained",
    ("ROLLBACK TO SAVEPOINT explained", "RELEASE SAVEPOINT explained"),
)
ALONE = ("BEGIN", ("ROLLBACK",))


@dataclass(frozen=True)
class Read:
    """One statement: its pages in shared buffers, hit or read, and the tables that it scans.

    Attributes:
        walks: Tables of which an index found many rows that another condition threw away. That is a scan, too.
    """

    sql: str
    buffers: int
    scans: tuple[str, ...]
    walks: tuple[str, ...]
    plan: dict[str, Any] = field(repr=False, compare=False)


@contextmanager
def explained() -> Iterator[list[Read]]:
    """Explain each statement before it runs, and roll that back."""
    reads: list[Read] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many and sql.lstrip().split(None, 1)[0].upper() in (
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "WITH",
        ):
            before, after = IN_TRANSACTION if connection.in_atomic_block else ALONE
            with connection.connection.cursor() as cursor:
                cursor.execute(before)
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
                found = cursor.fetchone()[0]
                for statement in after:
                    cursor.execute(statement)
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            reads.append(Read(sql, buffers, tuple(_scans(plan)), tuple(_walks(plan)), plan))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield reads


def _scans(node: dict[str, Any]) -> Iterator[str]:
    passed = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
    passed *= node.get("Actual Loops", 1)
    if node["Node Type"] == "Seq Scan" and passed > SCANNED:
        yield node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from _scans(part)


def _walks(node: dict[str, Any]) -> Iterator[str]:
    thrown_away = node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1)
    if thrown_away > SCANNED:
        yield node.get("Relation Name", node["Node Type"])
    for part in node.get("Plans", ()):
        yield from _walks(part)
