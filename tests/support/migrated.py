"""A migrated SQLite database, made once and copied: to migrate takes five seconds, and to copy one takes none.

``python -m tests.support.migrated`` makes it, in ``build/``. Its name says which migrations and models it was made of.
A copy is migrated like any other database, so what is missing in it is added.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.db import connection

BUILD = Path(__file__).resolve().parents[2] / "build" / "tests"


def template() -> Path:
    """Return where the database of these migrations and models is kept."""
    seen = hashlib.sha256(f"{django.VERSION} {sqlite3.sqlite_version}".encode())
    for config in apps.get_app_configs():
        for file in sorted(Path(config.path, "migrations").glob("*.py")):
            seen.update(file.read_bytes())
    for model in apps.get_models():
        # `migrate` makes a content type and the permissions of each.
        meta = model._meta
        seen.update(f"{meta.label} {meta.default_permissions} {meta.permissions}".encode())
    return BUILD / f"migrated-{seen.hexdigest()[:16]}.sqlite3"


def copy_to(path: Path) -> None:
    """Put a copy at *path*, if there is one to copy."""
    if template().exists():
        shutil.copyfile(template(), path)


def begin_with_a_copy() -> None:
    """Let the test database begin as a copy, where it is SQLite."""
    creation: Any = connection.creation
    create = creation._create_test_db

    def create_and_copy(verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        name: str = create(verbosity, autoclobber, keepdb)
        if not keepdb:
            copy_to(Path(name))
        return name

    if connection.vendor == "sqlite":
        creation._create_test_db = create_and_copy


def keep() -> None:
    """Keep a copy of the test database, which was migrated just now, for the next process."""
    place = template()
    if connection.vendor != "sqlite" or place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    own = place.with_suffix(f".{os.getpid()}")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(own)])
    own.replace(place)


if __name__ == "__main__":
    django.setup()
    if not template().exists():
        connection.creation.create_test_db(verbosity=0, serialize=False)
        keep()
        connection.creation.destroy_test_db("", verbosity=0)
