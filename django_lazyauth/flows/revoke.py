"""A client gives a token back: the session it belongs to ends before the answer leaves (RFC 7009, I11)."""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest

from django_lazyauth.errors import OAuthError
from django_lazyauth.models.lost_race import again
from django_lazyauth.toolkit import endpoints
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, check_form

from . import sessions


def answer_revocation_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the revocation endpoint; an unknown token is no error (RFC 7009 §2.2)."""
    try:
        check_form(http_request)
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    answer, ended = endpoints.revoke(http_request)
    for session_id in ended:
        again(partial(sessions.end_session, session_id))
    return answer
