"""Answer a token request: each grant goes its own way, and whatever fails is JSON that no cache keeps."""

from __future__ import annotations

import logging

from django.http import HttpRequest

from django_lazyauth.errors import OAuthError, ServerError
from django_lazyauth.kit.log import log_failure
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, TokenRequest, check_form, grant_type_of

from . import authorization_code, refresh_token

logger = logging.getLogger("django_lazyauth.token")


def answer_token_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the token endpoint (RFC 6749 §3.2). Never raises."""
    try:
        check_form(http_request)
        grant_type = grant_type_of(http_request)
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    if grant_type == "authorization_code":
        return authorization_code.redeem(http_request)
    try:
        return refresh_token.refresh(http_request) if grant_type == "refresh_token" else _issue(http_request)
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's receiver raises
        log_failure(logger, f"a token request with {grant_type} failed", error)
        return TokenAnswer.of_error(ServerError())


def _issue(http_request: HttpRequest) -> TokenAnswer:
    request = TokenRequest(http_request)
    answer = request.answer()
    if answer.status == 200:
        request.announce()
    return answer
