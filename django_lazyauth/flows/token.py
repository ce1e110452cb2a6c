"""Answer a token request: a code goes through the exchange, everything else through DOT's own grants.

The refresh grant is never wrapped in a rollback: that would undo the revocation of a replayed family.
"""

from __future__ import annotations

from django.http import HttpRequest

from django_lazyauth.errors import OAuthError
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, TokenRequest, check_form, grant_type_of

from . import exchange, sessions


def answer_token_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the token endpoint (RFC 6749 §3.2)."""
    try:
        check_form(http_request)
        grant_type = grant_type_of(http_request)
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    if grant_type == "authorization_code":
        return exchange.redeem(http_request)
    request = TokenRequest(http_request)
    answer = request.answer()
    for session_id in request.ended_sessions:
        sessions.end_session(session_id)
    if answer.status == 200:
        request.announce()
    return answer
