"""INSERT, UPDATE and DELETE of one row, compiled once and run with other values each time.

For the statements of every exchange, which Django would compile anew each time. What is kept here is SQL and
the fields behind its placeholders: no value, no row, no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import post_save, pre_save


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A statement that writes, with the fields that its placeholders stand for."""

    sql: str
    fields: Sequence[Any]
    using: str

    def run(self, *values: Any) -> int:
        """Run it with a value for each field, and return how many rows matched."""
        connection = connections[self.using]
        prepared = zip(self.fields, values, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(self.sql, [field.get_db_prep_save(value, connection) for field, value in prepared])
            return int(cursor.rowcount)


def prepare_update(
    model: type[Model],
    using: str,
    *,
    values: Sequence[str],
    where: Sequence[str],
    while_null: Sequence[str] = (),
) -> PreparedWrite:
    """Return the ``UPDATE`` that gives *values* to the rows whose *where* are equal; both are attributes.

    Args:
        while_null: Attributes that must be NULL besides: of two that would set them, one finds no row.
    """
    to_write = ", ".join(_comparisons(model, using, values))
    compared = [*_comparisons(model, using, where), *_comparisons(model, using, while_null, "IS NULL")]
    sql = f"UPDATE {_table(model, using)} SET {to_write} WHERE {' AND '.join(compared)}"  # noqa: S608 - names of our own tables, no value
    return PreparedWrite(sql, _fields(model, [*values, *where]), using)


def prepare_delete(
    model: type[Model], using: str, *, where: Sequence[str], before: Sequence[str] = ()
) -> PreparedWrite:
    """Return the ``DELETE`` of the rows whose *where* are equal. Nothing cascades: nobody may point there.

    Args:
        before: Attributes that must be smaller than their values, which come after those of *where*.
    """
    compared = [*_comparisons(model, using, where), *_comparisons(model, using, before, "< %s")]
    sql = f"DELETE FROM {_table(model, using)} WHERE {' AND '.join(compared)}"  # noqa: S608 - names of our own tables, no value
    return PreparedWrite(sql, _fields(model, [*where, *before]), using)


def _table(model: type[Model], using: str) -> str:
    return connections[using].ops.quote_name(model._meta.db_table)


def _comparisons(
    model: type[Model], using: str, attributes: Sequence[str], comparison: str = "= %s"
) -> list[str]:
    quote = connections[using].ops.quote_name
    return [f"{quote(field.column)} {comparison}" for field in _fields(model, attributes)]


def _fields(model: type[Model], attributes: Sequence[str]) -> list[Any]:
    by_attribute = {field.attname: field for field in model._meta.concrete_fields}
    return [by_attribute[attribute] for attribute in attributes]


# -- INSERT ----------------------------------------------------------------------------------------------

#: A host's swapped model that has its own way to be saved keeps it.
METHODS_OF_SAVE = ("save", "save_base", "_save_table", "_do_insert")


def insert(instance: Model) -> None:
    """Do what ``instance.save(force_insert=True)`` does, signals included.

    The rows that *instance* points to must be saved already.
    """
    model = type(instance)
    using = router.db_for_write(model, instance=instance)
    statement = _insert(model, using)
    if statement is None:
        instance.save(force_insert=True, using=using)
        return
    pre_save.send(sender=model, instance=instance, raw=False, using=using, update_fields=None)
    with transaction.mark_for_rollback_on_error(using=using):
        instance.pk = _run_insert(statement, instance)
    instance._state.adding, instance._state.db = False, using
    post_save.send(sender=model, instance=instance, created=True, update_fields=None, raw=False, using=using)


def _run_insert(statement: PreparedWrite, instance: Model) -> Any:
    connection = connections[statement.using]
    values = [
        field.get_db_prep_save(field.pre_save(instance, add=True), connection) for field in statement.fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, values)
        return cursor.fetchone()[0]


@cache
def _insert(model: type[Model], using: str) -> PreparedWrite | None:
    """Return the statement, or ``None`` where only ``save`` knows how to write this model here."""
    meta, connection = model._meta, connections[using]
    automatic: Any = meta.auto_field
    fields: list[Any] = [field for field in meta.concrete_fields if field is not automatic]
    if (
        automatic is None
        or meta.proxy
        or not has_plain_save(model)
        or not all(_is_plain(field) for field in fields)
        or not connection.features.can_return_columns_from_insert
    ):
        return None
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    placeholders = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {_table(model, using)} ({columns}) VALUES ({placeholders})"  # noqa: S608 - names of our own tables, no value
    return PreparedWrite(f"{sql} RETURNING {quote(automatic.column)}", fields, using)


def has_plain_save(model: type[Model]) -> bool:
    """Say whether *model* is one table that is saved as Django saves."""
    return not model._meta.parents and all(
        getattr(model, method) is getattr(Model, method) for method in METHODS_OF_SAVE
    )


def _is_plain(field: Any) -> bool:
    """Say whether the column gets one value that is known here, neither computed nor wrapped in SQL."""
    return not (field.generated or field.has_db_default() or hasattr(field, "get_placeholder"))
