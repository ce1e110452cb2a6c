"""The upstream sent the person back: spend the state, ask the provider who it is, move the flow on (I9).

The state is spent before the upstream is asked, so of two callbacks one goes on. No transaction is open
while the upstream is asked.
"""

from __future__ import annotations

import hmac
import logging

from django.http import HttpRequest

from django_lazyauth.errors import AccessDenied, InvalidGrant, LazyAuthError, ProviderError
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.providers.base import Page, Provider, Success
from django_lazyauth.providers.registry import get_provider

from . import chain, complete, leg, linking
from .linking import Linked

logger = logging.getLogger("django_lazyauth.sign_in")


class WrongProvider(InvalidGrant):
    """A callback came to another provider's address than the flow went to (mix-up; RFC 9700 §4.4).

    Attributes:
        url: Where to send the person: the client's redirect URI with ``server_error``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__()


class SignInFailed(ProviderError):
    """The provider could not say who it is; the row stays, and the person may try again or another way."""

    def __init__(self, pending: PendingAuthorization, cause: ProviderError) -> None:
        self.pending = pending
        logger.warning("sign-in at %s failed: %s %s", pending.provider, cause.reason, cause.debug)
        super().__init__(cause.reason, debug=cause.debug)


class SignInRefused(AccessDenied):
    """The person is known, and may not sign in here; the client is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__()


def session_of(state: str) -> PendingAuthorization:
    """Return the live row that waits for *state*; the view needs its id to find the binding cookie.

    Raises:
        InvalidGrant: Unknown, spent or expired.
    """
    return PendingAuthorization.objects.by_state(state)


def receive(
    request: HttpRequest, pending: PendingAuthorization, *, provider_name: str, binding: str
) -> PendingAuthorization | Pending | Linked:
    """Handle the callback of *pending*, and return the row with its person; or how it was linked.

    ``Pending`` while what the answer is checked with has to be fetched: nothing was spent then, and the same
    callback may come again.

    Raises:
        InvalidGrant: The state is spent, or this browser did not begin the flow (I7). Nothing was spent then.
        WrongProvider: The address is another provider's.
        SignInFailed: The upstream failed or refused, or what it said does not hold.
        SignInRefused: The person may not sign in here.
    """
    if not hmac.compare_digest(digest(binding), pending.binding_digest):
        raise InvalidGrant(debug="the callback came from another browser")
    provider: Provider | None = None
    if pending.provider == provider_name:
        try:
            provider = get_provider(provider_name)
            waiting = provider.prepare()
        except ProviderError as error:
            leg.reopen(pending)
            raise SignInFailed(pending, error) from None
        if waiting is not None:
            return waiting
    PendingAuthorization.objects.consume_state(pending)
    if provider is None or pending.provider != provider_name:
        raise WrongProvider(
            leg.fail_flow(pending, error="server_error", description="The sign-in was mixed up.")
        )
    try:
        private = leg.open_private(pending)
        step = provider.complete(request, pending, private)
        if isinstance(step, Page):
            raise ProviderError("unexpected_page")
        if pending.link_to_id is not None:
            return linking.complete(request, pending, step)
        return _complete(request, pending, step)
    except ProviderError as error:
        leg.reopen(pending)
        raise SignInFailed(pending, error) from None
    except LazyAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a provider's or a receiver's own code raises
        log_failure(logger, f"sign-in at {provider_name} failed", error)
        leg.reopen(pending)
        raise SignInFailed(pending, ProviderError("fault")) from None


def answer_page(
    request: HttpRequest, pending: PendingAuthorization, provider_name: str
) -> PendingAuthorization | Page:
    """Handle a form of a provider that has pages of its own (a password): its next page, or the person.

    Raises:
        InvalidGrant, SignInFailed, SignInRefused: As :func:`receive`.
    """
    over = InvalidGrant("This sign-in is over. Go back to the application and start again.")
    if pending.status != Status.SENT_UPSTREAM or pending.provider != provider_name:
        raise over
    try:
        provider = get_provider(provider_name)
        if provider.is_upstream or pending.link_to_id is not None:
            raise over
        step = provider.complete(request, pending, leg.open_private(pending))
        if not isinstance(step, Page):
            return _complete(request, pending, step)
    except ProviderError as error:
        raise SignInFailed(pending, error) from None
    except LazyAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a provider's or a receiver's own code raises
        log_failure(logger, f"sign-in at {provider_name} failed", error)
        raise SignInFailed(pending, ProviderError("fault")) from None
    if step.private is not None:
        leg.keep_private(pending, step.private)
    return step


def _complete(request: HttpRequest, pending: PendingAuthorization, success: Success) -> PendingAuthorization:
    provider = get_provider(pending.provider)
    if chain.is_connecting(pending):
        return chain.connect(pending, provider, success)
    try:
        return complete.complete(request, pending, provider, success)
    except AccessDenied as denied:
        raise SignInRefused(
            leg.fail_flow(pending, error=denied.error, description=denied.description)
        ) from None
