"""May the rows of a model be written and deleted by SQL of our own, or only as the model itself does it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.models import CharField, Field, Model, TextField

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


@dataclass(frozen=True, slots=True)
class Column:
    """A column that an INSERT names.

    Attributes:
        is_text: The driver gets a ``str`` as it is. Asking the field takes longer than writing the value.
    """

    field: Any
    is_relation: bool
    is_text: bool

    def value(self, row: Model, connection: Any) -> Any:
        """Return what the driver gets for the column of *row*."""
        value = self.field.pre_save(row, add=True)
        if self.is_text and type(value) is str:
            return value
        return self.field.get_db_prep_save(value, connection)


@cache
def inserted_columns(model: type[Model]) -> tuple[Column, ...]:
    """Return what an INSERT of *model* names: all but a key that the database counts."""
    return tuple(
        Column(field, bool(field.is_relation), _is_text(type(field)))
        for field in model._meta.concrete_fields
        if field is not model._meta.auto_field
    )


def _is_text(kind: type[Any]) -> bool:
    """Say whether fields of *kind* prepare a text as Django's own do: not at all."""
    for own in (CharField, TextField):
        if issubclass(kind, own):
            return (
                kind.to_python is own.to_python
                and kind.get_prep_value is own.get_prep_value
                and kind.get_db_prep_value is Field.get_db_prep_value
                and kind.get_db_prep_save is Field.get_db_prep_save
            )
    return False


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
