"""The final writes of a grant: insert, upsert, update-where, delete.

On PostgreSQL several are ONE statement of common table expressions: a round trip and a compilation each is most of
what they would cost (benchmarks "exchange, public client" and "refresh"). A single one, and each on SQLite, is a plain
statement. Elsewhere, and where a model of the host has its own ``save``, parents, generated columns, or listeners to
its deletes, the ORM writes them.

On PostgreSQL ``pre_save`` is sent for every row in the order of the steps, then the rows are written, then
``post_save`` is sent in the same order. Elsewhere both are sent for one row before the next is written.
:class:`Upsert` and :class:`Update` send no signals, as query sets do not.

Not here: transactions. The caller has opened one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.retry import is_foreign_key_violation

from .plain_models import columns_of, has_own_way, has_plain_columns, inserted_columns, nothing_points_to


class LostRace(LazyAuthError):
    """A step found no row: a concurrent transaction changed it first. Nothing may be committed."""


# -- the steps -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert *row*, as ``save(force_insert=True)`` does. It may point to the row of an earlier step."""

    row: Model


@dataclass(frozen=True, slots=True)
class Upsert:
    """Insert *row*, or give the row with the same *unique* fields the values of its *update* fields.

    Without *update* that row stays as it is. ``row._state.adding`` says then that *row* was not inserted.
    """

    row: Model
    unique: tuple[str, ...]
    update: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Save:
    """Write the *fields* of *row*, as ``save(update_fields=…)`` does, while the attributes *while_null* are NULL.

    If they are not, another transaction wrote them first: :class:`LostRace`.
    """

    row: Model
    fields: tuple[str, ...]
    while_null: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """Give the row of *model* that equals *where* these *values*. If there is none: :class:`LostRace`."""

    model: type[Model]
    values: Mapping[str, Any]
    where: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the rows of *model* that equal *where*, and whose attributes *before* are smaller than these values."""

    model: type[Model]
    where: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)


Step: TypeAlias = Insert | Upsert | Save | Update | Delete


@dataclass(frozen=True, slots=True)
class Writes:
    """Steps that are written together."""

    steps: tuple[Step, ...]

    def run(self) -> None:
        """Write them all.

        Raises:
            LostRace: Another transaction was first. Roll back.
            IntegrityError: A constraint of the database refused a row.
        """
        databases = {router.db_for_write(_model(step)) for step in self.steps}
        using = databases.pop()
        vendor = connections[using].vendor if not databases else ""
        is_ours = vendor in {"postgresql", "sqlite"} and all(map(_is_plain, self.steps))
        if is_ours and vendor == "postgresql" and len(self.steps) > 1:
            _write_at_once(self.steps, using)
        elif is_ours:
            for step in self.steps:
                _write_alone(step, using)
        else:
            for step in self.steps:
                _write_by_orm(step)


def _model(step: Step) -> type[Model]:
    return type(step.row) if isinstance(step, Insert | Upsert | Save) else step.model


# -- may a step be part of the one statement? ------------------------------------------------------------------


def _is_plain(step: Step) -> bool:
    model = _model(step)
    if isinstance(step, Delete):
        listened = pre_delete.has_listeners(model) or post_delete.has_listeners(model)
        return not listened and nothing_points_to(model)
    if isinstance(step, Insert | Save) and not has_own_way(model):
        return has_plain_columns(model)
    return isinstance(step, Upsert | Update)


# -- one statement ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Clause:
    """One step without its values: what the SQL of the statement depends on.

    Attributes:
        given: What each of *columns* gets: SQL, or the new key of the earlier step of this number.
    """

    verb: str
    model: type[Model]
    columns: tuple[str, ...] = ()
    given: tuple[str | int, ...] = ()
    equal: tuple[str, ...] = ()
    null: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    update: tuple[str, ...] = ()


def _write_at_once(steps: Sequence[Step], using: str) -> None:
    for step in steps:
        _send(pre_save, step, using)
    connection = connections[using]
    clauses, values = [], list[Any]()
    inserted: dict[int, int] = {}
    rows: dict[int, Model] = {}
    for number, step in enumerate(steps):
        clause, parameters = _clause(step, inserted, connection)
        clauses.append(clause)
        values += parameters
        if isinstance(step, Insert):
            inserted[id(step.row)], rows[number] = number, step.row
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        cursor.execute(_statement(tuple(clauses), using), values)
        results = cursor.fetchone()
    for step, clause, result in zip(steps, clauses, results, strict=True):
        if isinstance(step, Save | Update) and result != 1:
            raise LostRace
        if isinstance(step, Insert) or (_is_if_absent(step) and result is not None):
            _mark_inserted(step.row, clause, result, rows, using)
    for step in steps:
        _send(post_save, step, using)


def _is_if_absent(step: Step) -> TypeGuard[Upsert]:
    return isinstance(step, Upsert) and not step.update


def _send(signal: Any, step: Step, using: str) -> None:
    if not isinstance(step, Insert | Save):
        return
    changed = frozenset(step.fields) if isinstance(step, Save) else None
    told: dict[str, Any] = {"created": isinstance(step, Insert)} if signal is post_save else {}
    signal.send(type(step.row), instance=step.row, raw=False, using=using, update_fields=changed, **told)


def _clause(step: Step, inserted: Mapping[int, int], connection: Any) -> tuple[_Clause, list[Any]]:
    """Return the shape of *step*, and the values of its placeholders in their order."""
    model = _model(step)
    columns = columns_of(model, connection.alias)

    def prepared(values: Mapping[str, Any]) -> list[Any]:
        return [columns[name].prepare(value, connection) for name, value in values.items()]

    if isinstance(step, Insert | Upsert):
        return _insertion(step, inserted, connection)
    if isinstance(step, Delete):
        clause = _Clause("DELETE", model, equal=tuple(step.where), before=tuple(step.before))
        return clause, prepared(step.where) + prepared(step.before)
    new, where, null = _change(step)
    given, values = list[str | int](), list[Any]()
    for value in prepared(new):
        _put(value, given, values)
    values += prepared(where)
    return _Clause("UPDATE", model, tuple(new), tuple(given), equal=tuple(where), null=null), values


def _change(step: Save | Update) -> tuple[Mapping[str, Any], Mapping[str, Any], tuple[str, ...]]:
    """Return the new values, what the row equals, and its columns that are NULL."""
    if isinstance(step, Update):
        return step.values, step.where, ()
    fields: Any = [step.row._meta.get_field(name) for name in step.fields]
    new = {field.attname: field.pre_save(step.row, add=False) for field in fields}
    return new, {step.row._meta.pk.attname: step.row.pk}, step.while_null


def _insertion(
    step: Insert | Upsert, inserted: Mapping[int, int], connection: Any
) -> tuple[_Clause, list[Any]]:
    row, columns = step.row, inserted_columns(type(step.row), connection.alias)
    given, values = list[str | int](), list[Any]()
    for column in columns:
        source = _source(row, column.field, inserted) if column.is_relation else None
        if source is None:
            _put(column.value(row, connection), given, values)
        else:
            given.append(source)
    names = tuple(column.attribute for column in columns)
    unique, update = (step.unique, step.update) if isinstance(step, Upsert) else ((), ())
    return _Clause("INSERT", type(row), names, tuple(given), unique=unique, update=update), values


def _put(value: Any, given: list[str | int], values: list[Any]) -> None:
    """Put *value* beside the statement, unless it is NULL or an empty text, as a third of all are: those stand in it.

    The driver takes time for each placeholder, and beyond 50 it parses the statement anew each time.
    """
    if value is None or (type(value) is str and not value):
        given.append("NULL" if value is None else "''")
    else:
        given.append("%s")
        values.append(value)


def _source(row: Model, field: Any, inserted: Mapping[int, int]) -> int | None:
    """Return the number of the step that inserts what *row* points to, if its key is not known yet."""
    if getattr(row, field.attname) is not None or not field.is_cached(row):
        return None
    return inserted.get(id(field.get_cached_value(row)))


@lru_cache(maxsize=256)
def _statement(clauses: tuple[_Clause, ...], using: str) -> str:
    """Return the SQL of all steps: names of tables and columns, and no value but NULL and the empty text."""
    quote = connections[using].ops.quote_name
    parts, results = [], []
    for number, clause in enumerate(clauses):
        key: Any = clause.model._meta.pk
        parts.append(f"w{number} AS ({_sql(clause, clauses, using)})")
        result = quote(key.column) if clause.verb == "INSERT" else "COUNT(*)"
        results.append(f"(SELECT {result} FROM w{number})")  # noqa: S608 - names of our own columns, no value
    return f"WITH {', '.join(parts)} SELECT {', '.join(results)}"


@lru_cache(maxsize=256)
def _sql(clause: _Clause, clauses: tuple[_Clause, ...], using: str) -> str:
    quote = connections[using].ops.quote_name
    meta: Any = clause.model._meta
    fields = columns_of(clause.model, using)
    table, key = quote(meta.db_table), quote(meta.pk.column)

    def columns(attributes: Sequence[str], template: str = "{}") -> list[str]:
        return [template.format(quote(fields[attribute].field.column)) for attribute in attributes]

    where = " AND ".join(
        [
            *columns(clause.equal, "{} = %s"),
            *columns(clause.null, "{} IS NULL"),
            *columns(clause.before, "{} < %s"),
        ]
    )
    if clause.verb == "DELETE":
        return f"DELETE FROM {table} WHERE {where} RETURNING {key}"  # noqa: S608 - names of our own tables, no value
    if clause.verb == "UPDATE":
        new = ", ".join(
            f"{name} = {sql}" for name, sql in zip(columns(clause.columns), clause.given, strict=True)
        )
        return f"UPDATE {table} SET {new} WHERE {where} RETURNING {key}"  # noqa: S608 - names of our own tables, no value
    keys: list[Any] = [clause.model._meta.pk for clause in clauses]
    values = [
        one if isinstance(one, str) else f"(SELECT {quote(keys[one].column)} FROM w{one})"  # noqa: S608 - names of our own tables, no value
        for one in clause.given
    ]
    sql = f"INSERT INTO {table} ({', '.join(columns(clause.columns))}) VALUES ({', '.join(values)})"  # noqa: S608 - names of our own tables, no value
    if clause.unique:
        conflict = ", ".join(columns(clause.unique))
        new = ", ".join(columns(clause.update, "{0} = EXCLUDED.{0}"))
        sql += f" ON CONFLICT ({conflict}) DO {f'UPDATE SET {new}' if new else 'NOTHING'}"
    return f"{sql} RETURNING {key}"


def _mark_inserted(row: Model, clause: _Clause, key: Any, rows: Mapping[int, Model], using: str) -> None:
    """Give *row* its key, and the keys of what it points to."""
    if row._meta.auto_field is not None:
        row.pk = key
    row._state.adding, row._state.db = False, using
    for attribute, one in zip(clause.columns, clause.given, strict=True):
        if isinstance(one, int):
            setattr(row, attribute, rows[one].pk)


# -- one statement for each step -------------------------------------------------------------------------------


def _write_alone(step: Step, using: str) -> None:
    _send(pre_save, step, using)
    if isinstance(step, Insert):
        _take_keys(step.row)
    connection = connections[using]
    clause, values = _clause(step, {}, connection)
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        cursor.execute(_sql(clause, (clause,), using), values)
        written = cursor.fetchall()
    if isinstance(step, Save | Update) and len(written) != 1:
        raise LostRace
    if isinstance(step, Insert) or (_is_if_absent(step) and written):
        _mark_inserted(step.row, clause, written[0][0], {}, using)
    _send(post_save, step, using)


def _take_keys(row: Model) -> None:
    """Give *row* the keys of what it points to, where those rows were inserted after it was made."""
    fields: Any = row._meta.concrete_fields
    for key in fields:
        if key.is_relation and getattr(row, key.attname) is None and key.is_cached(row):
            related: Any = key.get_cached_value(row)
            setattr(row, key.attname, related and related.pk)


# -- the ORM ---------------------------------------------------------------------------------------------------


def _write_by_orm(step: Step) -> None:
    model = _model(step)
    using = router.db_for_write(model)
    rows = model._base_manager.using(using)
    if isinstance(step, Insert):
        step.row.save(force_insert=True, using=using)
    elif _is_if_absent(step):
        _insert_if_absent(step, rows)
    elif isinstance(step, Upsert):
        rows.bulk_create(
            [step.row],
            update_conflicts=True,
            unique_fields=None if connections[using].vendor == "mysql" else list(step.unique),
            update_fields=list(step.update),
        )
    elif isinstance(step, Save):
        _save_by_orm(step, using)
    elif isinstance(step, Update):
        if rows.filter(**step.where).update(**step.values) != 1:
            raise LostRace
    else:
        before = {f"{name}__lt": value for name, value in step.before.items()}
        rows.filter(**step.where, **before).delete()


def _insert_if_absent(step: Upsert, rows: QuerySet[Any]) -> None:
    same = {name: getattr(step.row, name) for name in step.unique}
    if rows.select_for_update().filter(**same).exists():
        return
    try:
        with transaction.atomic(using=rows.db):
            rows.bulk_create([step.row])
    except IntegrityError as error:
        if is_foreign_key_violation(error):
            raise
        # A concurrent transaction inserted it meanwhile, and has committed.
        step.row._state.adding = True


def _save_by_orm(step: Save, using: str) -> None:
    model = type(step.row)
    if has_own_way(model):
        step.row.save(update_fields=step.fields)
        return
    _send(pre_save, step, using)
    values, same, null = _change(step)
    same = {**same, **{f"{name}__isnull": True for name in null}}
    if model._base_manager.using(using).filter(**same).update(**values) != 1:
        raise LostRace
    _send(post_save, step, using)
