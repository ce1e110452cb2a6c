"""A client gives a token back: the session it belongs to ends before the answer leaves (RFC 7009, I11).

``token_type_hint`` changes nothing: both kinds of token are looked up, as RFC 7009 §2.1 allows.
"""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from django.db import router
from django.http import HttpRequest

from django_lazyauth.clients.authenticate import authenticate, authenticate_by_key
from django_lazyauth.errors import OAuthError, TemporarilyUnavailable
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models.fields import digest
from django_lazyauth.sessions import end
from django_lazyauth.tokens.binding import checksums
from django_lazyauth.toolkit.clients import Client
from django_lazyauth.toolkit.models import get_access_token_model, get_refresh_token_model

from .contract import Form, TokenAnswer, read_form

logger = logging.getLogger("django_lazyauth.revoke")


def answer_revocation_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the revocation endpoint. An unknown token is no error (RFC 7009 §2.2).

    Never raises: where the session could not be ended, 503 tells the client that its token still exists
    (RFC 7009 §2.2.1).
    """
    try:
        form = read_form(http_request)
        token = form.require("token")
        # Before anything that is tried again: an assertion is good once.
        by_key = authenticate_by_key(form.credentials)
        for session_id in retry_on_conflict(partial(_revoke, form, token, by_key)):
            end.end_session(session_id)
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's receiver raises
        log_failure(logger, "a token could not be revoked", error)
        return TokenAnswer.of_error(TemporarilyUnavailable())
    return TokenAnswer("{}")


def _revoke(form: Form, token: str, by_key: Client | None) -> set[UUID]:
    """Revoke the token if it belongs to no session. Return the sessions that it belongs to, for the caller to end.

    Raises:
        OAuthError: The client failed to authenticate.
    """
    client = authenticate(form.credentials, by_key=by_key)
    model = get_refresh_token_model()
    tokens = model.objects.using(router.db_for_write(model)).filter(application=client)
    rows = list(tokens.filter(token_checksum=digest(token)))
    rows = rows or list(tokens.filter(access_token__token_checksum__in=checksums(token)))
    sessions = {row.token_family for row in rows if row.token_family}
    if not sessions:
        for row in rows:
            # DOT issued it without a family. Its access token goes with it.
            row.revoke()
    if not rows:
        _revoke_access_token(token, client)
    return sessions


def _revoke_access_token(token: str, client: Client) -> None:
    """Revoke an access token that has no refresh token, such as one of client credentials."""
    model = get_access_token_model()
    tokens = model.objects.using(router.db_for_write(model))
    for row in tokens.filter(application=client, token_checksum__in=checksums(token)):
        row.revoke()
