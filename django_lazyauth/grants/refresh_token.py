"""Use a refresh token: spent, its successor written and the answer sealed in ONE transaction (I10).

A session that turns out to be compromised is ended after that transaction: a rollback must not undo it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import router, transaction
from django.http import HttpRequest

from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.sessions import end
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, TokenRequest

logger = logging.getLogger("django_lazyauth.refresh")


def refresh(http_request: HttpRequest) -> TokenAnswer:
    """Answer a token request with ``grant_type=refresh_token`` (RFC 6749 §6).

    Raises:
        Exception: What the database or a host's receiver raised; nothing was written then.
    """
    request, answer = retry_on_conflict(partial(_answer, http_request))
    for session_id in request.ended_sessions:
        end.end_session(session_id)
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
