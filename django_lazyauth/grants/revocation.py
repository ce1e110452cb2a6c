"""A client gives a token back: the session it belongs to ends before the answer leaves (RFC 7009, I11)."""

from __future__ import annotations

import logging
from functools import partial

from django.http import HttpRequest

from django_lazyauth.errors import OAuthError, TemporarilyUnavailable
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.sessions import end
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, check_form

from . import userinfo

logger = logging.getLogger("django_lazyauth.revoke")


def answer_revocation_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the revocation endpoint; an unknown token is no error (RFC 7009 §2.2).

    Never raises: where the session could not be ended, 503 tells the client that its token still exists
    (RFC 7009 §2.2.1).
    """
    try:
        check_form(http_request)
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    try:
        return _revoke(http_request)
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's receiver raises
        log_failure(logger, "a token could not be revoked", error)
        return TokenAnswer.of_error(TemporarilyUnavailable())


def _revoke(http_request: HttpRequest) -> TokenAnswer:
    answer, ended = retry_on_conflict(partial(userinfo.revoke, http_request))
    for session_id in ended:
        end.end_session(session_id)
    return answer
