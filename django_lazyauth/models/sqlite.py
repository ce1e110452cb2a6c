"""Complete the options of a SQLite database that holds these models, so that concurrent requests wait and do not fail.

Django begins transactions deferred and waits for at most 5 s. Two transactions that read and then write cannot both
go on, so SQLite fails one of them at once ("database is locked"). No wait helps there. A transaction that begins
IMMEDIATE waits for the other one instead.

Not here: what a database aborts all the same (:mod:`django_lazyauth.kit.retry`).
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

#: What a site gets that names no other value. Seconds for the timeout: a queue of writers takes its time.
OPTIONS: Final[dict[str, Any]] = {"transaction_mode": "IMMEDIATE", "timeout": 20}


def complete_options(alias: str) -> None:
    """Give the database *alias* what its ``OPTIONS`` leave unsaid, for all threads."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        found = connection.settings_dict
        found["OPTIONS"] = OPTIONS | found["OPTIONS"]
