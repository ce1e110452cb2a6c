"""Use a refresh token: spent, its successor written and the answer sealed in ONE transaction (I10).

A session that turns out to be compromised is ended after that transaction: a rollback must not undo it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from django.db import OperationalError, router, transaction
from django.http import HttpRequest

from django_lazyauth.models import SealedSuccessor
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, TokenRequest

from . import sessions
from .failure import log_failure

logger = logging.getLogger("django_lazyauth.refresh")

#: Who lost against somebody else's transaction finds on the next try what that one did.
ATTEMPTS = 3

T = TypeVar("T")


def refresh(http_request: HttpRequest) -> TokenAnswer:
    """Answer a token request with ``grant_type=refresh_token`` (RFC 6749 §6).

    Raises:
        Exception: What the database or a host's receiver raised; nothing was written then.
    """
    request, answer = _in_spite_of_others(partial(_answer, http_request))
    for session_id in request.ended_sessions:
        _in_spite_of_others(partial(sessions.end_session, session_id))
    if answer.status == 200:
        request.announce()
    return answer


def _answer(http_request: HttpRequest) -> tuple[TokenRequest, TokenAnswer]:
    request = TokenRequest(http_request)
    return request, request.answer(together=_one_transaction)


@contextmanager
def _one_transaction() -> Iterator[None]:
    """Commit what the block writes, or nothing of it.

    An ``on_commit`` hook of the host that fails is logged and changes nothing: what is committed is told.
    """
    committed = False

    def note_commit() -> None:
        nonlocal committed
        committed = True

    database = router.db_for_write(SealedSuccessor)
    try:
        with transaction.atomic(using=database, durable=True):
            # The first hook of all: it runs before any that may raise.
            transaction.on_commit(note_commit, using=database)
            yield
    except Exception as error:
        if not committed:
            raise
        log_failure(logger, "a hook failed after a refresh was committed", error)


def _in_spite_of_others(action: Callable[[], T]) -> T:
    """Do *action*, and do it again where the database gave it up for another transaction's sake."""
    for _ in range(ATTEMPTS - 1):
        try:
            return action()
        except OperationalError as error:
            if not lost_to_another(error):
                raise
    return action()


#: serialization_failure, deadlock_detected (PostgreSQL, appendix A).
SQLSTATES = frozenset({"40001", "40P01"})
#: Record changed since last read, lock wait timeout, deadlock (MariaDB, MySQL).
MYSQL_ERRORS = frozenset({1020, 1205, 1213})


def lost_to_another(error: OperationalError) -> bool:
    """Say whether the database rolled a transaction back only because of another one: a new try may succeed."""
    cause: Any = error.__cause__
    return (
        getattr(cause, "sqlstate", None) in SQLSTATES
        or getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        or (bool(error.args) and error.args[0] in MYSQL_ERRORS)
    )
