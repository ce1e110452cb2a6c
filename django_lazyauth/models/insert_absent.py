"""INSERT many rows at once, and leave alone what stands already: bulk statements, on every database.

On PostgreSQL one statement takes its columns as arrays, several times faster than rows of placeholders. No
statement here ignores errors (``INSERT IGNORE`` cuts texts that are too long and passes over foreign keys): only
the unique key that is named may be taken already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections
from django.db.models import Model

#: One row: attribute → value. All rows of a call name the same attributes; the others get their defaults.
Row = Mapping[str, Any]


def insert_absent(model: type[Model], rows: Sequence[Row], *, unique: Sequence[str], using: str) -> None:
    """Insert those of *rows* whose *unique* key nobody has, in the caller's transaction.

    Raises:
        DatabaseError: The database refused a row for another reason; its text may hold the row's data.
    """
    if not rows:
        return
    if connections[using].vendor == "postgresql":
        _insert_columns(model, rows, unique, using)
    else:
        # The update that a conflict leads to gives the key the value that it has: nothing changes.
        model._default_manager.using(using).bulk_create(
            [model(**row) for row in rows],
            update_conflicts=True,
            unique_fields=None if connections[using].vendor == "mysql" else list(unique),
            update_fields=list(unique[:1]),
        )


def _insert_columns(model: type[Model], rows: Sequence[Row], unique: Sequence[str], using: str) -> None:
    """Insert through ``unnest``: an array for each attribute that the rows name, one value for each other."""
    connection = connections[using]
    quote = connection.ops.quote_name
    arrays: list[list[Any]] = []
    singles: list[Any] = []
    columns, selected, unnested = [], [], []
    for field in _written(model):
        columns.append(quote(field.column))
        if field.attname in rows[0]:
            selected.append(f"arrays.{quote(field.column)}")
            unnested.append((quote(field.column), f"%s::{_type(field, connection)}[]"))
            arrays.append([field.get_db_prep_save(row[field.attname], connection) for row in rows])
        else:
            selected.append(f"%s::{_type(field, connection)}")
            singles.append(field.get_db_prep_save(field.get_default(), connection))
    conflict = ", ".join(quote(field.column) for field in _written(model) if field.name in unique)
    # Names of our own tables, columns and types only; every value is a parameter.
    sql = (
        f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(columns)})"  # noqa: S608
        f" SELECT {', '.join(selected)} FROM unnest({', '.join(array for _, array in unnested)})"
        f" AS arrays({', '.join(name for name, _ in unnested)}) ON CONFLICT ({conflict}) DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*singles, *arrays])


def _written(model: type[Model]) -> list[Any]:
    """Return the fields that an INSERT names: the database numbers the rows."""
    fields = model._meta.concrete_fields
    return [field for field in fields if not field.primary_key and not getattr(field, "generated", False)]


def _type(field: Any, connection: Any) -> str:
    """Return the type to cast to. Not varchar(n): that cast would cut what is too long instead of refusing it."""
    found = str(field.db_type(connection))
    return "text" if found.startswith("varchar") else found
