"""Redeem a code: user, identity, upstream tokens and our tokens in ONE transaction.

Anything but a 200 rolls the whole transaction back, and the code stays usable. What must outlive the
rollback, counting a failed attempt and ending a replayed session, happens after it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.authorize.consent import remember_consent
from django_lazyauth.errors import InvalidGrant, ProviderError, RegistrationRefused, SealBroken, ServerError
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import retries_on_conflict, retry_on_conflict
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Status
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import browser, end
from django_lazyauth.sign_in import deferred as register
from django_lazyauth.signals import finalize_failed
from django_lazyauth.toolkit.token_endpoint import TokenAnswer, TokenRequest, refuse_grant

logger = logging.getLogger("django_lazyauth.exchange")

#: A second person with the same new identity, or an unlucky name, is seen on the next try.
ATTEMPTS = 3


@dataclass
class _Outcome:
    """What the transaction leaves behind for after it."""

    discard: bool = False
    committed: bool = False
    changed_password: bool = False

    def note_commit(self) -> None:
        self.committed = True


def redeem(http_request: HttpRequest) -> TokenAnswer:
    """Answer a token request with ``grant_type=authorization_code`` (RFC 6749 §4.1.3).

    Never raises: what goes wrong here is ``server_error``, logged without any value of the request.
    """
    exchange = TokenRequest(http_request)
    taken = 0

    def redeem_once() -> TokenAnswer:
        nonlocal exchange, taken
        while True:
            exchange = TokenRequest(http_request)
            try:
                return _redeem(exchange, is_last=taken == ATTEMPTS - 1)
            except register.Taken:
                taken += 1

    try:
        return retry_on_conflict(redeem_once)
    except Exception as error:  # noqa: BLE001 - whatever a host's receiver or a provider raises
        return _failed(exchange.pending, error)


def _redeem(exchange: TokenRequest, *, is_last: bool) -> TokenAnswer:
    try:
        answer = _exchange(exchange)
    except register.Taken:
        if not is_last:
            raise
        _discard(exchange.pending)
        return TokenAnswer.of_error(
            InvalidGrant("An account with this name or address exists already; nothing was written.")
        )
    _after(exchange)
    return answer


def _exchange(exchange: TokenRequest) -> TokenAnswer:
    outcome = _Outcome()
    database = router.db_for_write(PendingAuthorization)

    def finalize(oauth_request: Any) -> None:
        _finalize(exchange, oauth_request, outcome)

    try:
        with transaction.atomic(using=database, durable=True):
            # The first hook of all: it runs before any that may raise.
            transaction.on_commit(outcome.note_commit, using=database)
            answer = exchange.answer(on_validated=finalize)
            if answer.status != 200:
                transaction.set_rollback(True, using=database)
            elif outcome.changed_password:
                # Whoever changed it did so in this browser, and the change ended its sign-in too.
                browser.let_resume(exchange.require_pending())
    except Exception as error:
        if not outcome.committed:
            raise
        # An on_commit hook of the host failed. What is committed is told: an error here would cost the client
        # its tokens, and its next try with this code would be a replay.
        log_failure(logger, "a hook failed after the exchange of a code was committed", error)
    if outcome.discard:
        _discard(exchange.pending)
    elif answer.status == 200:
        exchange.announce()
    return answer


def _finalize(exchange: TokenRequest, oauth_request: Any, outcome: _Outcome) -> None:
    """Write the person and what the provider committed: after every check of the code, before any token."""
    pending = exchange.require_pending()
    row: DeferredRegistration | None = getattr(pending, "deferred", None)
    if row is None:
        return
    try:
        deferred = register.open_deferred(row)
        provider = get_provider(row.provider)
        if pending.user is None:
            _register(pending, deferred, oauth_request)
        if deferred.commit is not None:
            changed = end.finalize(provider, deferred.commit, user=oauth_request.user, session_id=pending.pk)
            outcome.changed_password = changed
        for leg in deferred.legs:
            get_provider(leg.provider).finalize(leg.commit, user=oauth_request.user, session_id=pending.pk)
    except RegistrationRefused as refused:
        outcome.discard = True
        refuse_grant(refused.description)
    except register.Deactivated:
        refuse_grant("This account may not sign in.")
    except SealBroken:
        outcome.discard = True
        refuse_grant("This sign-in can no longer be completed. Start again.")
    except ProviderError as error:
        if error.reason != "not_configured":
            raise
        refuse_grant("The way this person signed in is not available any more.")


def _register(pending: PendingAuthorization, deferred: register.Deferred, oauth_request: Any) -> None:
    known = getattr(pending, "identity_user_id", None)
    if known is not None:
        if deferred.identity.sso_domain:
            # Written since the callback, maybe for another provider that the domain named (I19).
            register.known_user(deferred.identity)
        oauth_request.user = register.load_user(known)
    else:
        oauth_request.user, oauth_request.identity = register.write_person(
            deferred.identity, session_id=pending.pk, client=pending.client
        )
    remember_consent(
        oauth_request.user.pk,
        client=pending.client,
        scopes=pending.scopes,
        resources=pending.resource,
    )


def _after(exchange: TokenRequest) -> None:
    """A code that was exchanged before shows that a copy is about: end what came of it (I2)."""
    pending = exchange.pending
    if pending is not None and pending.status == Status.EXCHANGED:
        end.end_session(pending.pk)


@retries_on_conflict
def _discard(pending: PendingAuthorization | None) -> None:
    if pending is None:
        return
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        # The pending row first, as everywhere: whoever tries the same code at the same time locks it first too.
        PendingAuthorization.objects.filter(pk=pending.pk, status=Status.CODE_ISSUED).update(
            status=Status.FAILED, last_error="RegistrationRefused", private="", updated_at=timezone.now()
        )
        DeferredRegistration.objects.filter(pk=pending.pk).delete()


def _failed(pending: PendingAuthorization | None, error: Exception) -> TokenAnswer:
    """Count the attempt outside the rolled-back transaction, tell the host, answer ``server_error``."""
    if pending is None or pending.status != Status.CODE_ISSUED:
        log_failure(logger, "a token request with a code that is not good any more failed", error)
        return TokenAnswer.of_error(ServerError())
    log_failure(logger, "the exchange of a code was rolled back", error)
    try:
        attempts = pending.count_failure(type(error).__name__)
    except (DatabaseError, InterfaceError):
        attempts = pending.failed_attempts + 1
    finalize_failed.send_robust(
        sender=PendingAuthorization,
        session_id=pending.pk,
        client_id=pending.client.client_id,
        provider=pending.provider,
        error_class=type(error).__name__,
        attempts=attempts,
    )
    return TokenAnswer.of_error(ServerError())
