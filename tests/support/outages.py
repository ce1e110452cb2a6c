"""Take a service away for real: the next connection goes to an address where nothing listens."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection


def closed_port() -> int:
    """Return a port of this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def database_gone() -> Iterator[None]:
    """Close the connection of this thread, and let no new one be made."""
    kept = dict(connection.settings_dict)
    # A server has a port; SQLite has a file, which cannot be made in a folder that does not exist.
    gone = {"NAME": "/nonexistent/database"} if connection.vendor == "sqlite" else {"PORT": closed_port()}
    connection.close()
    connection.settings_dict.update(gone)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(kept)


@contextlib.contextmanager
def connection_cut() -> Iterator[None]:
    """PostgreSQL: let the server end the connection that this thread holds, as a restart does. A new one works."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with connection.copy().cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.connection.close()
    try:
        yield
    finally:
        # A site does it after each request; the client of the tests does not.
        connection.close()


def cache_gone() -> dict[str, Any]:
    """Return ``CACHES`` whose Redis does not listen."""
    location = f"redis://127.0.0.1:{closed_port()}/0"
    return {
        **settings.CACHES,
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location},
    }
