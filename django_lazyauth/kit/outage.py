"""Did something that we need not answer, or is the code wrong? The first is worth another try, the second is not."""

from __future__ import annotations

from typing import Final

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)

from django_lazyauth.errors import LazyAuthError

#: Errors of a database that works: another try fails in the same way.
_OF_A_STATEMENT: Final = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
_OF_A_CONNECTION: Final = (DatabaseError, InterfaceError, ConnectionError, TimeoutError)


class CacheUnavailable(LazyAuthError):
    """The cache did not answer, and nothing may be done without it."""


def is_outage(error: Exception) -> bool:
    """Say whether a database, the cache or another server did not answer. The same request may succeed later."""
    if isinstance(error, CacheUnavailable):
        return True
    return isinstance(error, _OF_A_CONNECTION) and not isinstance(error, _OF_A_STATEMENT)
