"""A test that commits is followed by ``flush``. Here that takes a fraction of the time, and leaves the same rows.

Django makes content types and permissions anew each time, which takes ten times as long as emptying the tables. And
it empties them on PostgreSQL and MariaDB with TRUNCATE, which makes new files for every table and index.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.signals import post_migrate

#: As ``django.contrib.auth`` connects it.
_PERMISSIONS = "django.contrib.auth.management.create_permissions"


def put_back_what_migrate_made() -> dict[str, int]:
    """Let every ``flush`` of the default database from now on leave what stands there now.

    Return the tables that it is in, with the highest key of each: :func:`delete_rows` leaves it.
    """
    made = [(model, list(model._base_manager.all())) for model in (ContentType, Permission)]

    def after(app_config: Any, using: str, **kwargs: Any) -> None:
        if "plan" in kwargs or using != DEFAULT_DB_ALIAS:
            # This is `migrate`, or a database of a test's own.
            create_contenttypes(app_config, using=using, **kwargs)
            create_permissions(app_config, using=using, **kwargs)
        elif app_config is last:
            for model, rows in made:
                there = model._base_manager.using(using)
                if there.count() != len(rows):
                    there.bulk_create(rows, ignore_conflicts=True)

    # The signal is sent for each app with models, in their order.
    last = [app for app in apps.get_app_configs() if app.models_module][-1]
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid=_PERMISSIONS)
    post_migrate.connect(after, weak=False)
    return {model._meta.db_table: max(row.pk for row in rows) for model, rows in made}


def delete_rows(made: dict[str, int], style: Any, tables: list[str], **kwargs: Any) -> list[str]:
    """Return the statements that empty *tables*, as ``connection.ops.sql_flush`` does, but for what was *made*."""
    deletes = [
        f"DELETE FROM {connection.ops.quote_name(table)}"
        + (f" WHERE id > {made[table]}" if table in made else "")
        for table in tables
    ]
    if connection.vendor == "mysql":
        return ["SET FOREIGN_KEY_CHECKS = 0", *deletes, "SET FOREIGN_KEY_CHECKS = 1"]
    # On PostgreSQL the foreign keys are checked at COMMIT.
    return deletes
