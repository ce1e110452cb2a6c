"""May the rows of a model be written and deleted by SQL of our own, or only as the model itself does it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import connections
from django.db.models import (
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    ForeignKey,
    Model,
    TextField,
    UUIDField,
)

METHODS_OF_SAVE = ("save", "save_base", "_save_table", "_do_insert", "_do_update")
PLACEHOLDERS = ("get_placeholder", "get_placeholder_sql")


def has_own_way(model: type[Model]) -> bool:
    """Say whether a host's swapped model is saved in another way than Django's, or is more than one table."""
    return bool(model._meta.parents) or any(
        getattr(model, method) is not getattr(Model, method) for method in METHODS_OF_SAVE
    )


@cache
def has_plain_columns(model: type[Model]) -> bool:
    """Say whether each column gets one value that is known here, neither computed nor wrapped in SQL."""
    return not any(
        field.generated or field.has_db_default() or any(hasattr(field, name) for name in PLACEHOLDERS)
        for field in model._meta.concrete_fields
        if field is not model._meta.auto_field
    )


#: Kind of field → a value that most drivers take as it is.
_SAMPLES: Final[Mapping[type[Field[Any, Any]], Any]] = {
    BooleanField: True,
    CharField: "text",
    DateTimeField: datetime(2000, 1, 1, tzinfo=UTC),
    ForeignKey: None,
    TextField: "text",
    UUIDField: UUID(int=0),
}
_PREPARATION: Final = ("to_python", "get_prep_value", "get_db_prep_value", "get_db_prep_save")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is written.

    Attributes:
        plain: Types of values that the driver gets as they are. Asking the field takes longer than writing the value.
        is_computed: Whether the field has a say in what a row holds, such as the time of now.
    """

    field: Any
    attribute: str
    is_relation: bool
    is_computed: bool
    plain: frozenset[type]

    def value(self, row: Model, connection: Any) -> Any:
        """Return what the driver gets for the column of a new *row*."""
        if self.is_computed:
            return self.prepare(self.field.pre_save(row, add=True), connection)
        return self.prepare(getattr(row, self.attribute), connection)

    def prepare(self, value: Any, connection: Any) -> Any:
        """Return what the driver gets for *value*."""
        kind = type(value)
        if kind in self.plain and (kind is not datetime or value.tzinfo is not None):
            return value
        return self.field.get_db_prep_save(value, connection)


@cache
def columns_of(model: type[Model], using: str) -> Mapping[str, Column]:
    """Return the columns of *model* by name and by attribute of their fields (``user`` and ``user_id``)."""
    found: dict[str, Column] = {}
    for field in model._meta.concrete_fields:
        is_computed = type(field).pre_save is not Field.pre_save
        column = Column(
            field, field.attname, bool(field.is_relation), is_computed, _plain_types(field, using)
        )
        found |= {field.name: column, field.attname: column}
    return found


@cache
def inserted_columns(model: type[Model], using: str) -> tuple[Column, ...]:
    """Return what an INSERT of *model* names: all but a key that the database counts."""
    by_name, meta = columns_of(model, using), model._meta
    return tuple(by_name[field.attname] for field in meta.concrete_fields if field is not meta.auto_field)


def _plain_types(field: Any, using: str) -> frozenset[type]:
    """Return the types of values that *field* hands to the driver of *using* as they are.

    None where a host changed how its values are prepared.
    """
    kind = type(field)
    for own, sample in _SAMPLES.items():
        if issubclass(kind, own):
            is_own = all(getattr(kind, name) is getattr(own, name) for name in _PREPARATION)
            values = [None, sample] if is_own else []
            return frozenset(
                type(value) for value in values if field.get_db_prep_save(value, connections[using]) is value
            )
    return frozenset()


@cache
def nothing_points_to(model: type[Model]) -> bool:
    """Say whether a row can go without Django looking for what depends on it."""
    meta = model._meta
    return (
        not meta.parents
        and model.delete is Model.delete
        and not any(
            field.auto_created and not field.concrete and (field.one_to_one or field.one_to_many)
            for field in meta.get_fields(include_hidden=True)
        )
        and not any(hasattr(field, "bulk_related_objects") for field in meta.private_fields)
    )
