"""A provider's answer: find its state, refuse mix-ups, spend the state, ask the provider who the person is (I9).

Also what becomes of a flow whose provider fails, on the way there and on the way back.

The state is spent before the upstream is asked, so of two callbacks with one state only one goes on. No transaction
is open while the upstream is asked.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from django.http import HttpRequest

from django_lazyauth.clients.redirects import AuthorizationResponse
from django_lazyauth.errors import AccessDenied, InvalidGrant, LazyAuthError, ProviderError
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import Noted, PendingAuthorization, Reason, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.providers.base import Page, Provider, Redirect, Success
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.toolkit import clients
from django_lazyauth.upstream import health, subject_rule
from django_lazyauth.vault.abandoned import abandon_commit

from . import asking_again, chain, complete, failures, leg, linking, sso_domain
from .failures import Failure
from .linking import Linked

logger = logging.getLogger("django_lazyauth.sign_in")

#: What a client is told when the person cancelled the only way in.
CANCELLED: Final = "The person did not sign in."


class WrongProvider(InvalidGrant):
    """A callback came to the address of another provider than the one that was asked (mix-up; RFC 9700 §4.4).

    Attributes:
        response: ``server_error``, for the browser to bring to the client.
    """

    def __init__(self, response: AuthorizationResponse) -> None:
        self.response = response
        super().__init__()


class SignInFailed(ProviderError):
    """The provider could not authenticate the person. The row stays, and the person may try again or another way.

    Attributes:
        failure: What the person is told, and the reference of its line in the log.
        went_on: The flow is on another leg or past this one, so there is nothing to choose.
    """

    def __init__(self, pending: PendingAuthorization, failure: Failure, *, went_on: bool) -> None:
        self.pending = pending
        self.failure = failure
        self.went_on = went_on
        super().__init__(failure.reason)


class SignInRefused(AccessDenied):
    """The person is known and may not sign in here, or they cancelled and have no other way to.

    Attributes:
        response: The error, for the browser to bring to the client.
    """

    def __init__(self, response: AuthorizationResponse) -> None:
        self.response = response
        super().__init__()


def begin(
    pending: PendingAuthorization, provider_name: str, *, connect: bool = False
) -> Redirect | Page | Pending:
    """Begin a leg with a provider, as :func:`.leg.send_to_provider` does.

    Raises:
        SignInFailed: The provider cannot begin. The person may choose again.
        SignInMovedOn: The row moved on in another tab.
    """
    began = time.monotonic()
    try:
        return leg.send_to_provider(pending, _usable(provider_name), connect=connect)
    except ProviderError as error:
        seconds = time.monotonic() - began
        failure = failures.log_failed_leg(provider_name, error, stage="begin", seconds=seconds)
        went_on = not leg.reopen(pending, noted=failure.noted)
        if went_on and failure.noted is not None:
            # Nobody was sent anywhere yet, so there was nothing to go back from.
            leg.note(pending, failure.noted)
        raise SignInFailed(pending, failure, went_on=went_on) from None


def _usable(provider_name: str) -> Provider:
    """Return the provider, unless it would not find its people."""
    provider = get_provider(provider_name)
    subject_rule.require_known(provider)
    return provider


def choose_again(pending: PendingAuthorization) -> None:
    """Let the person sign in as somebody else. What this sign-in stored is deleted, and nobody was written (I4).

    The same provider is asked to offer its accounts, because it would return the same person.
    """
    leg.reopen(pending, next_prompt="select_account")


def session_of(state: str) -> PendingAuthorization:
    """Return the live row that waits for *state*. The view needs its id to find the binding cookie.

    Raises:
        InvalidGrant: Unknown, spent or expired.
    """
    return PendingAuthorization.objects.by_state(state)


def keep_posted(state: str, provider_name: str, posted: Mapping[str, str]) -> None:
    """Seal what the provider keeps of a posted answer into the row that waits for *state*. Nothing is spent.

    The POST comes from another site, so the browser sends no binding with it: whoever knows the state could have sent
    it. So the first one counts, the flow stays where it is, and the GET that follows checks the binding and reports
    what is wrong.
    """
    try:
        pending = session_of(state)
        if pending.provider == provider_name:
            leg.keep_answer(pending, get_provider(provider_name).keep_answer(posted))
    except (InvalidGrant, ProviderError):
        return
    except Exception as error:  # noqa: BLE001 - a host's provider may raise anything
        log_failure(logger, f"a posted answer of {provider_name} was not kept", error)


def require_same_browser(pending: PendingAuthorization, binding: str) -> None:
    """Refuse a callback in a browser that did not begin the flow (I7). Nothing is spent.

    Raises:
        InvalidGrant: The browser holds another secret, or none.
    """
    if not hmac.compare_digest(digest(binding), pending.binding_digest):
        raise InvalidGrant(debug="the callback came from another browser")


def receive(
    request: HttpRequest, pending: PendingAuthorization, *, provider_name: str, binding: str
) -> PendingAuthorization | Pending | Linked | Redirect:
    """Handle the callback of *pending*: return the row with its person, or how an account was linked.

    ``Redirect``: the person is asked once more (:mod:`.asking_again`). ``Pending``: keys or metadata are being fetched.
    Nothing was spent then, and the same callback may come again.

    Args:
        provider_name: The provider whose address the callback came to.
        binding: The secret of the flow that this browser holds.

    Raises:
        InvalidGrant: The state is spent, or this browser did not begin the flow (I7). Nothing was spent then.
        WrongProvider: The address is another provider's.
        SignInFailed: The upstream failed or refused, or its answer did not pass a check.
        SignInRefused: The person may not sign in here, or cancelled the only way in.
    """
    require_same_browser(pending, binding)
    if not clients.is_usable(pending.client):
        raise leg.SignInEnded
    if pending.provider == provider_name:
        with _failing(pending, stage="callback"):
            waiting = _usable(provider_name).prepare()
        if waiting is not None:
            return waiting
    PendingAuthorization.objects.consume_state(pending)
    if pending.provider != provider_name:
        raise _mixed_up(pending)
    with _failing(pending, stage="callback"):
        provider = get_provider(provider_name)
        step = asking_again.complete(request, pending, provider, leg.open_private(pending))
        if isinstance(step, Page):
            raise ProviderError("unexpected_page")
        health.note_success(provider_name, subject_rule.rule_of(provider))
        if pending.link_to_id is not None:
            return _link(request, pending, provider_name, step)
        return asking_again.begin(pending, provider, step) or _complete(request, pending, provider, step)


def _link(
    request: HttpRequest, pending: PendingAuthorization, provider_name: str, success: Success
) -> Linked:
    linked = linking.complete(request, pending, success)
    # Only who they are there counts. A refresh token that came along would live on at the upstream.
    abandon_commit(provider_name, success.commit)
    return linked


def _mixed_up(pending: PendingAuthorization) -> WrongProvider:
    noted = Noted(Reason.REFUSED, pending.provider, "callback", "mixed_up")
    description = "The sign-in was mixed up."
    return WrongProvider(leg.fail_flow(pending, error="server_error", description=description, noted=noted))


def answer_page(
    request: HttpRequest, pending: PendingAuthorization, provider_name: str
) -> PendingAuthorization | Page | Linked:
    """Handle a form of a provider that has pages of its own (a password): return its next page, or the person's row.

    Where the person adds it to their account: how that ended.

    Raises:
        InvalidGrant, SignInFailed, SignInRefused: As :func:`receive`.
    """
    if pending.status != Status.SENT_UPSTREAM or pending.provider != provider_name:
        raise leg.SignInEnded
    with _failing(pending, stage="page", reopens=False):
        provider = get_provider(provider_name)
        if provider.is_upstream or (pending.link_to_id is not None and not provider.is_set_here):
            raise leg.SignInEnded
        step = provider.complete(request, pending, leg.open_private(pending))
        if not isinstance(step, Page):
            health.note_success(provider_name)
            if pending.link_to_id is not None:
                return linking.set_here(request, pending, provider, step)
            return _complete(request, pending, provider, step)
    if step.private is not None:
        leg.keep_private(pending, step.private)
    if step.refused is not None:
        leg.note(pending, step.refused)
    return step


@contextmanager
def _failing(pending: PendingAuthorization, *, stage: str, reopens: bool = True) -> Iterator[None]:
    """Turn every failure of a provider into :class:`SignInFailed`; with *reopens* the person may choose again.

    A refusal of ours passes. An exception from a provider's or a receiver's own code counts as a failure.
    """
    began = time.monotonic()
    try:
        yield
        return
    except ProviderError as error:
        cause = error
    except LazyAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - a provider's or a receiver's own code may raise anything
        log_failure(logger, f"sign-in at {pending.provider} failed", error)
        cause = ProviderError("fault")
    failure = failures.log_failed_leg(pending.provider, cause, stage=stage, seconds=time.monotonic() - began)
    next_prompt = failures.NEXT_PROMPTS.get(failure.reason, "")
    went_on = reopens and not leg.reopen(pending, next_prompt=next_prompt, noted=failure.noted)
    if not reopens and failure.noted is not None:
        leg.note(pending, failure.noted)
    if failure.reason == "cancelled" and reopens and not went_on and not _has_another_way(pending):
        # There is nothing to choose, so the client may know (RFC 6749 §4.1.2.1).
        raise SignInRefused(leg.fail_flow(pending, error="access_denied", description=CANCELLED)) from None
    raise SignInFailed(pending, failure, went_on=went_on) from None


def _has_another_way(pending: PendingAuthorization) -> bool:
    """Say whether the person may sign in otherwise than at the provider of *pending*. A link leads to no client.

    Who cancelled only the second question may sign in there without it.
    """
    if pending.link_to_id is not None or pending.asked_again_at is not None or sso_domain.is_offered():
        return True
    return any(provider.name != pending.provider for provider in chain.choices(pending))


def _complete(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, success: Success
) -> PendingAuthorization:
    if leg.is_connecting(pending):
        return chain.connect(pending, provider, success)
    try:
        return complete.complete(request, pending, provider, success)
    except AccessDenied as denied:
        abandon_commit(provider.name, success.commit)
        who = (success.identity.subject, success.identity.email)
        failure = failures.log_no_account(pending.provider, denied.debug or denied.error, who=who)
        # The client shows it to the person, who may tell the operator.
        description = f"{denied.description} Reference {failure.reference}."
        response = leg.fail_flow(pending, error=denied.error, description=description, noted=failure.noted)
        raise SignInRefused(response) from None
