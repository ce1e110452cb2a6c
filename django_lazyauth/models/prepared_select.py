"""A row and the rows that belong to it, by a SELECT that is compiled once and run with another value each time.

Django compiles a query anew each time it runs. For a join of four tables that takes several times as long as the
database takes to answer (benchmarks "exchange, public client" and "introspection"). What is kept here is SQL and
the meaning of its columns: no value, no row, no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import connections
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
N = TypeVar("N", bound=Model)

#: Stands in the compiled query for the value that comes later.
ASKED_FOR = "the value asked for"
#: Stands for a second value, where one of two will do.
OR_FOR = "or another value"
#: Relation path → attributes to load of the row it leads to. ``None`` loads all of them.
Related = Mapping[str, Sequence[str] | None]


class PreparedSelect(Generic[M]):
    """A query set of at most one row, compiled.

    Args:
        query_set: One of its filters asks for ``ASKED_FOR``, or for it and ``OR_FOR``. It is compiled for the database
            that it names.
        related: Relations to at most one row, in either direction. Their rows are loaded with the first. A path
            of two relations (``client__registration``) comes after its first part.
        only: Attributes to load of the row itself. ``None`` loads all of them.
        annotations: Annotations of the query set that :meth:`get_annotated` returns.
    """

    def __init__(
        self,
        query_set: QuerySet[M],
        *,
        related: Related | None = None,
        only: Sequence[str] | None = None,
        annotations: Sequence[str] = (),
    ) -> None:
        self._using = query_set.db
        self._own = _Columns(query_set.model, only=only)
        paths, self._parts = [*self._own.paths], list[_Part]()
        models: dict[str, Any] = {"": query_set.model}
        for name, attributes in (related or {}).items():
            above, _, last = name.rpartition("__")
            relation: Any = models[above]._meta.get_field(last)
            models[name] = relation.related_model
            columns = _Columns(relation.related_model, f"{name}__", after=len(paths), only=attributes)
            paths += columns.paths
            self._parts.append(_Part(above, name, relation, columns))
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
        found = self.get_annotated(value)
        return None if found is None else found[0]

    def get_annotated(self, value: str) -> tuple[M, Sequence[Any]] | None:
        """Return the instance that *value* names, and its annotations; or ``None``."""
        with connections[self._using].cursor() as cursor:
            cursor.execute(self._sql, self._parameters_for(value))
            row = cursor.fetchone()
        if row is None:
            return None
        converted = self._converted(row)
        return self._instance(converted), converted[self._annotated :]

    def get_beside(
        self, value: str, other: PreparedSelect[N], other_values: tuple[str, ...]
    ) -> tuple[M | None, N | None, Sequence[Any]]:
        """Return what :meth:`get` would return of this and of *other*, and the annotations of *other*. One query.

        Without this instance the other is not looked up.

        Args:
            other_values: For ``ASKED_FOR`` of *other*, and for ``OR_FOR`` where it has that too.
        """
        sql = f"SELECT this.*, that.* FROM ({self._sql}) this LEFT JOIN ({other._sql}) that ON 1 = 1"  # noqa: S608 - names of our own tables, no value
        with connections[self._using].cursor() as cursor:
            cursor.execute(sql, [*self._parameters_for(value), *other._parameters_for(*other_values)])
            row = cursor.fetchone()
        if row is None:
            return None, None, ()
        mine, others = self._converted(row[: self._width]), row[self._width :]
        if not other._own.is_there(others):
            return self._instance(mine), None, ()
        found = other._converted(others)
        return self._instance(mine), other._instance(found), found[other._annotated :]

    def _parameters_for(self, value: str, or_value: str = "") -> list[Any]:
        values = {ASKED_FOR: value, OR_FOR: or_value}
        return [values.get(parameter, parameter) for parameter in self._parameters]

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        """Return the fields' own values for the driver's. Converters belong to this thread's connection."""
        compiler = self._query.get_compiler(self._using)
        return next(compiler.apply_converters([row], compiler.get_converters(self._expressions)))

    def _instance(self, row: list[Any]) -> M:
        instances: dict[str, Model | None] = {"": self._own.instance(row, self._using)}
        for part in self._parts:
            owner = instances.get(part.above)
            if owner is None or part.columns.is_torn(row):
                continue
            instances[part.name] = related = part.columns.instance(row, self._using)
            part.relation.set_cached_value(owner, related)
        return cast(M, instances[""])


class _Columns:
    """The columns of one instance in the row."""

    def __init__(
        self, model: type[Model], prefix: str = "", *, after: int = 0, only: Sequence[str] | None = None
    ) -> None:
        self.model = model
        fields = [
            field
            for field in model._meta.concrete_fields
            if only is None or field.attname in {*only, model._meta.pk.attname}
        ]
        self.attributes = [field.attname for field in fields]
        self.paths = [prefix + attribute for attribute in self.attributes]
        self._slice = slice(after, after + len(self.paths))
        self._primary_key = after + self.attributes.index(model._meta.pk.attname)
        required = (
            after + number for number, field in enumerate(fields) if not field.null and not field.primary_key
        )
        self._required = next(required, self._primary_key)

    def is_torn(self, row: list[Any]) -> bool:
        """Say whether the row that was locked points to another row now than the one that was joined to it.

        PostgreSQL (READ COMMITTED) reads the locked row anew after it waited for the lock, and keeps the joined
        rows as they were before. The key of a forward relation is a column of the locked row, so the key is there
        and the other columns are NULL. The stale join is dropped; Django loads the relation lazily.
        """
        return row[self._primary_key] is not None and row[self._required] is None

    def is_there(self, row: Sequence[Any]) -> bool:
        """Say whether the join found anything."""
        return row[self._primary_key] is not None

    def instance(self, row: list[Any], using: str) -> Model | None:
        """Return the instance, or ``None`` where the join found nothing."""
        if not self.is_there(row):
            return None
        return self.model.from_db(using, self.attributes, row[self._slice])


class _Part:
    """A related row: the path of its owner, its own path, the relation between them, and its columns."""

    def __init__(self, above: str, name: str, relation: Any, columns: _Columns) -> None:
        self.above, self.name, self.relation, self.columns = above, name, relation, columns
