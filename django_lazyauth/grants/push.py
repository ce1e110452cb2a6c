"""A client pushes its authorization request, before it sends a person here (RFC 9126).

The client proves itself as at the token endpoint, and a public one is taken at its word. Nothing of the request is
written.

Not here: what the request is checked for, and where it goes (:mod:`django_lazyauth.authorize.arrival`).
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, QueryDict

from django_lazyauth.authorize.arrival import receive_push
from django_lazyauth.authorize.pushed import Pushed
from django_lazyauth.authorize.request import AuthorizationRefused
from django_lazyauth.clients.by_key.keys import prefetch_keys
from django_lazyauth.errors import OAuthError, TooManyRequests
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.network import network_of
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.tokens.binding import proof_of
from django_lazyauth.toolkit import client_methods, clients

from .checks import introduced_client
from .contract import Form, TokenAnswer, error_of, read_form

logger = logging.getLogger("django_lazyauth.push")

#: Of one network to clients that prove nothing, and of one client that registered itself. A push writes nothing, so it
#: goes on where nothing is counted.
PUSHES: Final = Throttle("pushed-requests", 300, timedelta(minutes=5), fails_open=True)


class RequestRefused(OAuthError):
    """The authorization endpoint would refuse the request, for the reason that it would tell (RFC 9126 §2.3)."""

    def __init__(self, refused: AuthorizationRefused) -> None:
        self.error = refused.error
        super().__init__(refused.description)


def answer_push(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer to a pushed request. Never raises: what fails here is logged without any value."""
    proof = None
    try:
        form = read_form(http_request)
        # Before the assertion, which is good once: who has to come again with a nonce has used nothing up.
        proof = proof_of(http_request)
        client = introduced_client(form)
        _limit(form, client)
        prefetch_keys(client)
        answer = _answer(receive_push(_parameters(form, client), proof))
    except AuthorizationRefused as refused:
        answer = TokenAnswer.of_error(RequestRefused(refused))
    except OAuthError as error:
        answer = TokenAnswer.of_error(error)
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's store raises
        log_failure(logger, "a request could not be pushed", error)
        answer = TokenAnswer.of_error(error_of(error))
    return answer.with_headers(nonce_headers(proof))


def _answer(pushed: Pushed) -> TokenAnswer:
    body = {"request_uri": pushed.request_uri, "expires_in": pushed.expires_in}
    return TokenAnswer(json.dumps(body), int(HTTPStatus.CREATED))


def _limit(form: Form, client: clients.Client) -> None:
    is_proved = client_methods.must_prove(client) or form.credentials.assertion is not None
    if is_proved and not clients.is_self_registered(client):
        return
    key = f"client {client.client_id}" if is_proved else f"network {network_of(form.http_request)}"
    if not PUSHES.take(key):
        raise TooManyRequests(
            "Too many requests were pushed. Try again later.", retry_after=PUSHES.seconds_left()
        )


def _parameters(form: Form, client: clients.Client) -> QueryDict:
    """Return what was pushed, by the client that proved itself (RFC 9126 §2.1)."""
    parameters = QueryDict(mutable=True)
    for name, value in form.parameters.items():
        parameters[name] = value
    parameters["client_id"] = client.client_id
    if form.resources:
        parameters.setlist("resource", list(form.resources))
    return parameters
