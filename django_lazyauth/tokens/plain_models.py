"""May the rows of a model be written and deleted by SQL of our own, or only as the model itself does it?"""

from __future__ import annotations

from functools import cache

from django.db.models import Model

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
