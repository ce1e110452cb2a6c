"""A row and the rows it points to, by a SELECT that is compiled once and run with another value each time.

Django compiles a query anew each time it runs. For a join of four tables that takes several times as long as
the database takes to answer, though nothing but the value asked for differs. What is kept here is SQL and
what its columns mean: no value, no row, no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import connections
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
N = TypeVar("N", bound=Model)

#: Stands in the compiled query for the value that comes later.
ASKED_FOR = "the value asked for"


class PreparedSelect(Generic[M]):
    """A query set of at most one row, compiled.

    Args:
        query_set: One of its filters asks for ``ASKED_FOR``. It is compiled for the database it names.
        related: Relations to at most one row, in either direction, whose row comes along.
        annotations: Annotations of the query set that become attributes of the instance.
    """

    def __init__(
        self, query_set: QuerySet[M], *, related: Sequence[str] = (), annotations: Sequence[str] = ()
    ) -> None:
        self._using, self._annotations = query_set.db, annotations
        self._own = _Columns(query_set.model)
        paths, self._parts = [*self._own.paths], []
        for name in related:
            relation: Any = query_set.model._meta.get_field(name)
            part = _Columns(relation.related_model, f"{name}__", after=len(paths))
            paths += part.paths
            self._parts.append((relation, part))
        self._annotated = len(paths)
        self._width = self._annotated + len(annotations)
        self._query = query_set.values_list(*paths, *annotations).query
        compiler = self._query.get_compiler(self._using)
        # Each column under a name of its own, so that the whole can stand in another SELECT.
        self._sql, self._parameters = compiler.as_sql(with_col_aliases=True)
        expressions = [expression for expression, *_ in compiler.select]
        converted = compiler.get_converters(expressions)
        #: By column; ``None`` where the driver's value is the field's already.
        self._expressions = [
            expression if column in converted else None for column, expression in enumerate(expressions)
        ]

    def get(self, value: str) -> M | None:
        """Return the instance that *value* names, or ``None``."""
        with connections[self._using].cursor() as cursor:
            cursor.execute(self._sql, self._parameters_for(value))
            row = cursor.fetchone()
        return None if row is None else self._instance(self._converted(row))

    def _parameters_for(self, value: str) -> list[Any]:
        return [value if parameter == ASKED_FOR else parameter for parameter in self._parameters]

    def get_beside(self, value: str, other: PreparedSelect[N], other_value: str) -> tuple[M | None, N | None]:
        """Return what :meth:`get` would of this and of *other*, in one query.

        Without this instance there is no other: it is only asked for beside it.
        """
        sql = f"SELECT this.*, that.* FROM ({self._sql}) this LEFT JOIN ({other._sql}) that ON 1 = 1"  # noqa: S608 - names of our own tables, no value
        with connections[self._using].cursor() as cursor:
            cursor.execute(sql, [*self._parameters_for(value), *other._parameters_for(other_value)])
            row = cursor.fetchone()
        if row is None:
            return None, None
        mine, others = row[: self._width], row[self._width :]
        return self._instance(self._converted(mine)), other._instance_if_any(others)

    def _instance_if_any(self, row: Sequence[Any]) -> M | None:
        return self._instance(self._converted(row)) if self._own.is_there(row) else None

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        """Return the fields' own values for the driver's; converters belong to this thread's connection."""
        compiler = self._query.get_compiler(self._using)
        return next(compiler.apply_converters([row], compiler.get_converters(self._expressions)))

    def _instance(self, row: list[Any]) -> M:
        instance = cast(M, self._own.instance(row, self._using))
        for relation, part in self._parts:
            if not part.is_torn(row):
                relation.set_cached_value(instance, part.instance(row, self._using))
        for name, value in zip(self._annotations, row[self._annotated :], strict=True):
            setattr(instance, name, value)
        return instance


class _Columns:
    """The columns of one instance in the row."""

    def __init__(self, model: type[Model], prefix: str = "", *, after: int = 0) -> None:
        self.model = model
        self.attributes = [field.attname for field in model._meta.concrete_fields]
        self.paths = [prefix + attribute for attribute in self.attributes]
        self._slice = slice(after, after + len(self.paths))
        self._primary_key = after + self.attributes.index(model._meta.pk.attname)
        self._witness = next(
            (
                after + number
                for number, field in enumerate(model._meta.concrete_fields)
                if not field.null and not field.primary_key
            ),
            self._primary_key,
        )

    def is_torn(self, row: list[Any]) -> bool:
        """Say whether the row that was locked points to another row now than the one that was joined to it.

        Who waits for a lock gets the locked row as it is by then, beside the others as they were before
        (PostgreSQL, READ COMMITTED). The key of a forward relation is the locked row's own column, so that it is
        there and the rest is not. What is not taken along is read when it is asked for.
        """
        return row[self._primary_key] is not None and row[self._witness] is None

    def is_there(self, row: Sequence[Any]) -> bool:
        """Say whether the join found anything."""
        return row[self._primary_key] is not None

    def instance(self, row: list[Any], using: str) -> Model | None:
        """Return the instance, or ``None`` where the join found nothing."""
        if not self.is_there(row):
            return None
        return self.model.from_db(using, self.attributes, row[self._slice])
