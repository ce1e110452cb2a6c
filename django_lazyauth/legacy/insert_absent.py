"""INSERT many rows at once, and leave alone what stands already: bulk statements, on every database.

On PostgreSQL the rows are copied into a table of this transaction's own, and one INSERT takes them from there:
several times faster than placeholders. No statement here ignores errors (``INSERT IGNORE`` cuts texts that are too
long and passes over foreign keys): only the unique key that is named may be taken already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import connections
from django.db.models import Model

#: One row: attribute → value. All rows of a call name the same attributes; the others get their defaults.
Row = Mapping[str, Any]

#: Temporary tables are found before all others, so the name is no host's.
STAGING: Final = "pg_temp.lazyauth_insert_absent"


def insert_absent(model: type[Model], rows: Sequence[Row], *, unique: Sequence[str], using: str) -> None:
    """Insert those of *rows* whose *unique* key nobody has, in the caller's transaction.

    Raises:
        DatabaseError: The database refused a row for another reason; its text may hold the row's data.
    """
    if not rows:
        return
    if connections[using].vendor == "postgresql" and _can_copy(using):
        _copy(model, rows, unique, using)
    else:
        # The update that a conflict leads to gives the key the value that it has: nothing changes.
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
    told = [field for field in fields if field.attname in rows[0]]
    rest = [field for field in fields if field.attname not in rows[0]]
    columns = ", ".join(quote(field.column) for field in told)
    target = ", ".join(quote(field.column) for field in (*told, *rest))
    defaults = [field.get_db_prep_save(field.get_default(), connection) for field in rest]
    selected = ", ".join([columns, *(f"%s::{field.db_type(connection)}" for field in rest)])
    conflict = ", ".join(quote(field.column) for field in fields if field.name in unique)
    table = quote(model._meta.db_table)
    prepared = [(field.attname, None if _is_plain(field) else field.get_db_prep_save) for field in told]
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


#: Fields whose values the driver takes as they are; to prepare each would take as long as to seal a bundle.
PLAIN: Final = frozenset(
    {"AutoField", "BigAutoField", "BooleanField", "CharField", "DateTimeField", "TextField", "UUIDField"}
)


def _is_plain(field: Any) -> bool:
    return getattr(field, "target_field", field).get_internal_type() in PLAIN


def _written(model: type[Model]) -> list[Any]:
    """Return the fields that an INSERT names: the database numbers the rows."""
    fields = model._meta.concrete_fields
    return [field for field in fields if not field.primary_key and not getattr(field, "generated", False)]
