"""Count what a piece of work asks of the database: statements, and commits that had to reach the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from django.db.backends.base.base import BaseDatabaseWrapper

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Cost:
    """
    Attributes:
        statements: SQL of every query, without transaction control.
        commits: How often the database made something durable.
    """

    statements: list[str] = field(default_factory=list)
    commits: int = 0

    @property
    def queries(self) -> int:
        return len(self.statements)


@contextmanager
def counting(connection: BaseDatabaseWrapper) -> Iterator[Cost]:
    """Count while the block runs. A write outside any transaction commits by itself, and is counted as both."""
    cost = Cost()
    commit = connection._commit

    def count_statement(execute, sql, params, many, context):
        verb = sql.lstrip().partition(" ")[0].upper()
        if verb not in TRANSACTION_CONTROL:
            cost.statements.append(sql)
            if verb in WRITES and not connection.in_atomic_block:
                cost.commits += 1
        return execute(sql, params, many, context)

    def count_commit():
        cost.commits += 1
        return commit()

    with connection.execute_wrapper(count_statement), mock.patch.object(connection, "_commit", count_commit):
        yield cost
