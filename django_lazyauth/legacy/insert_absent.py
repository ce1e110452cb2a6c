"""INSERT many rows at once and leave existing rows alone, on every database.

On PostgreSQL the rows are copied into a temporary table, and one INSERT reads it: several times faster than
placeholders. No statement ignores errors, because ``INSERT IGNORE`` truncates long texts and skips foreign keys. Only
the named unique key may exist already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import connections
from django.db.models import Model

#: One row: attribute → value. All rows of a call have the same attributes. The other fields get their defaults.
Row = Mapping[str, Any]

#: The schema of temporary tables, so that the name cannot clash with a table of the host.
STAGING: Final = "pg_temp.lazyauth_insert_absent"


def insert_absent(model: type[Model], rows: Sequence[Row], *, unique: Sequence[str], using: str) -> None:
    """Insert those of *rows* whose *unique* key does not exist, in the caller's transaction.

    Raises:
        DatabaseError: The database refused a row for another reason; its text may hold the row's data.
    """
    if not rows:
        return
    if connections[using].vendor == "postgresql" and _can_copy(using):
        _copy(model, rows, unique, using)
    else:
        # On a conflict the key is set to the value that it has, so nothing changes.
        model._default_manager.using(using).bulk_create(
            [model(**row) for row in rows],
            update_conflicts=True,
            unique_fields=None if connections[using].vendor == "mysql" else list(unique),
            update_fields=list(unique[:1]),
        )


def _can_copy(using: str) -> bool:
    """Say whether the driver streams rows to COPY: psycopg 3 does, psycopg 2 does not."""
    with connections[using].cursor() as cursor:
        return hasattr(cursor, "copy")


def _copy(model: type[Model], rows: Sequence[Row], unique: Sequence[str], using: str) -> None:
    connection = connections[using]
    quote = connection.ops.quote_name
    fields = _written(model)
    given = [field for field in fields if field.attname in rows[0]]
    rest = [field for field in fields if field.attname not in rows[0]]
    columns = ", ".join(quote(field.column) for field in given)
    target = ", ".join(quote(field.column) for field in (*given, *rest))
    defaults = [field.get_db_prep_save(field.get_default(), connection) for field in rest]
    selected = ", ".join([columns, *(f"%s::{field.db_type(connection)}" for field in rest)])
    conflict = ", ".join(quote(field.column) for field in fields if field.name in unique)
    table = quote(model._meta.db_table)
    prepared = [(field.attname, None if _is_plain(field) else field.get_db_prep_save) for field in given]
    # Names of our own tables, columns and types only; every value is copied, or a parameter.
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE {STAGING} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"  # noqa: S608 - names of our own tables, no value
        )
        # Django wraps the errors of execute(), not those of copy().
        with (
            connection.wrap_database_errors,
            cursor.copy(f"COPY {STAGING} ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(
                    [
                        row[name] if prepare is None else prepare(row[name], connection)
                        for name, prepare in prepared
                    ]
                )
        cursor.execute(
            f"INSERT INTO {table} ({target}) SELECT {selected} FROM {STAGING}"  # noqa: S608 - names of our own tables, no value
            f" ON CONFLICT ({conflict}) DO NOTHING",
            defaults,
        )
        cursor.execute(f"DROP TABLE {STAGING}")


#: Fields whose values the driver takes as they are. Preparing each value would take as long as sealing a bundle.
PLAIN: Final = frozenset(
    {"AutoField", "BigAutoField", "BooleanField", "CharField", "DateTimeField", "TextField", "UUIDField"}
)


def _is_plain(field: Any) -> bool:
    return getattr(field, "target_field", field).get_internal_type() in PLAIN


def _written(model: type[Model]) -> list[Any]:
    """Return the fields of an INSERT: all but the primary key, which the database sets."""
    fields = model._meta.concrete_fields
    return [field for field in fields if not field.primary_key and not getattr(field, "generated", False)]
