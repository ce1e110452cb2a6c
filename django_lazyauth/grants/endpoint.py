"""The token endpoint (RFC 6749 §3.2): a table of grants, and one transaction around each.

Not here: what a grant is worth. Each grant is one function in a file of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from django.db import router, transaction
from django.http import HttpRequest

from django_lazyauth.clients.authenticate import authenticate_by_key, prove_unspent
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, OAuthError, UnsupportedGrantType
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.retry import is_conflict, is_outage, retry_on_conflict
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.tokens.binding import proof_of
from django_lazyauth.tokens.writes import LostRace
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.signals import send_app_authorized

from .aftermath import settle
from .authorization_code import authorization_code
from .checks import introduce
from .client_credentials import client_credentials
from .contract import Form, Grant, Outcome, Prepared, Raced, TokenAnswer, error_of, read_form
from .delegation import asserted, upstream_token
from .delegation.id_jag import GRANT_TYPE as ID_JAG
from .delegation.id_jag import id_jag
from .delegation.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE
from .delegation.token_exchange import token_exchange
from .device.device_code import device_code
from .lost_commit import was_committed
from .refresh_token import refresh_token

logger = logging.getLogger("django_lazyauth.token")

#: Grant type → grant.
GRANTS: Final[Mapping[str, Grant]] = {
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "client_credentials": client_credentials,
    clients.DEVICE_CODE: device_code,
    TOKEN_EXCHANGE: token_exchange,
    ID_JAG: id_jag,
}
#: Grant type → whether it is on. The others always are.
SWITCHES: Final[Mapping[str, Callable[[], bool]]] = {
    clients.DEVICE_CODE: lambda: lazyauth_settings.device_flow is not None,
    TOKEN_EXCHANGE: lambda: bool(lazyauth_settings.token_exchange or lazyauth_settings.id_jag_audiences),
    ID_JAG: asserted.is_served,
}
#: Grant type → what of it needs the network.
FETCHES: Final[Mapping[str, Callable[[Form, Prepared], Prepared]]] = {
    TOKEN_EXCHANGE: upstream_token.fetch,
    ID_JAG: asserted.fetch,
}
#: Those that spend a client assertion with their writes wherever they answer 200: it costs them no commit.
SPENDING: Final = frozenset({"authorization_code", "refresh_token"})
#: How often a grant is run that finds that a concurrent request wrote the same first.
ATTEMPTS: Final = 3


def answer_token_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the token endpoint. Never raises: what fails here is logged without any value."""
    with measure.timed(measure.TOKEN_REQUESTS) as labels:
        answer = _answer(http_request, labels)
        labels.set(outcome="ok" if answer.status == HTTPStatus.OK else json.loads(answer.body)["error"])
    return answer


def _answer(http_request: HttpRequest, labels: measure.Labels) -> TokenAnswer:
    proof = None
    try:
        form = read_form(http_request)
        grant = _grant_of(form)
        labels.set(grant=form.require("grant_type"))
        form.refuse_details()
        # Before the assertion, which is good once: who has to come again with a nonce has used nothing up.
        proof = proof_of(http_request)
        outcome = run_and_spend(grant, form, _prepare(form, proof))
        settle(outcome)
    except OAuthError as error:
        return TokenAnswer.of_error(error).with_headers(nonce_headers(proof))
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's receiver raises
        log_failure(logger, "a token request failed", error)
        return TokenAnswer.of_error(error_of(error)).with_headers(nonce_headers(proof))
    if outcome.access_token is not None:
        send_app_authorized(http_request, outcome.access_token)
    return outcome.answer.with_headers(nonce_headers(proof))


def _grant_of(form: Form) -> Grant:
    name = form.require("grant_type")
    grant = GRANTS.get(name)
    if grant is None or not _is_served(name):
        raise UnsupportedGrantType
    return grant


def _is_served(grant_type: str) -> bool:
    is_on = SWITCHES.get(grant_type)
    return is_on is None or is_on()


def served_grants() -> Mapping[str, Grant]:
    """Return the grants that some client may use. The metadata lists their types."""
    return {name: grant for name, grant in GRANTS.items() if _is_served(name)}


def _prepare(form: Form, proof: Proof | None) -> Prepared:
    """Settle what needs the network or can be used once. No transaction is open."""
    grant_type = form.get("grant_type")
    if grant_type == ID_JAG:
        # It may be the first that this site hears of the client.
        introduce(form)
    if grant_type in SPENDING:
        proved = prove_unspent(form.credentials)
        return Prepared(by_key=proved.client if proved is not None else None, proof=proof, unspent=proved)
    prepared = Prepared(by_key=authenticate_by_key(form.credentials), proof=proof)
    fetch = FETCHES.get(grant_type)
    return fetch(form, prepared) if fetch is not None else prepared


def run_and_spend(grant: Grant, form: Form, prepared: Prepared) -> Outcome:
    """Run *grant*, and see to it that its client assertion is spent, also where it comes to nothing (RFC 7523 §3).

    That comes before all that a refused grant leads to: a copy of an earlier request must not end a session.

    Raises:
        InvalidClient: The assertion was used before.
    """
    unspent = prepared.unspent
    try:
        outcome = _run(grant, form, prepared)
    except Exception:  # Whatever refused it, it goes on.
        if unspent is not None:
            unspent.spend()
        raise
    if unspent is not None and outcome.answer.status != HTTPStatus.OK:
        unspent.spend()
    return outcome


def _run(grant: Grant, form: Form, prepared: Prepared) -> Outcome:
    """Run *grant*, again where a concurrent request was first."""
    attempt = 1
    while True:
        try:
            return retry_on_conflict(partial(_run_once, grant, form, prepared))
        except Raced as raced:
            if attempt == ATTEMPTS:
                return raced.outcome
        attempt += 1


class _Commit:
    """Whether the transaction was committed."""

    is_done = False

    def note(self) -> None:
        self.is_done = True


def _run_once(grant: Grant, form: Form, prepared: Prepared) -> Outcome:
    """Run *grant* in one transaction, and roll it back unless the answer is 200, or the outcome says otherwise.

    An ``on_commit`` hook of the host that fails is logged and changes nothing: the tokens are committed. An error
    here would cost the client its tokens, and its next try with this code would be a replay.
    """
    database = router.db_for_write(PendingAuthorization)
    commit, outcome = _Commit(), None
    try:
        with transaction.atomic(using=database, durable=True):
            # The first hook of all: it runs before any that may raise.
            transaction.on_commit(commit.note, using=database)
            outcome = grant(form, prepared)
            if outcome.answer.status != HTTPStatus.OK and not outcome.is_kept:
                transaction.set_rollback(True, using=database)
    except LostRace:
        raise InvalidGrant from None
    except Exception as error:
        if outcome is None:
            raise
        if commit.is_done:
            log_failure(logger, "a hook failed after a token request was committed", error)
        elif is_conflict(error):
            raise
        else:
            return _judge(outcome, error, database)
    return outcome


def _judge(outcome: Outcome, error: Exception, database: str) -> Outcome:
    """Return what a grant came to whose COMMIT raised *error*. That may be the loss of its acknowledgement (I22).

    Then its tokens stand, and the next try with this code would be a replay.
    """
    stands: bool | None = False
    if is_outage(error) and outcome.access_token is not None:
        stands = was_committed(outcome.access_token, database)
    if stands:
        log_failure(logger, "the COMMIT of a token request was not acknowledged, and was done", error)
        return outcome
    if outcome.pending is None:
        raise error
    return outcome.failed(error, is_known=stands is not None)
