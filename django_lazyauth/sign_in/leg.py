"""One way to a provider and back: a fresh state, what the provider keeps between its steps, and how a flow fails.

Each step is one conditional UPDATE of the pending row, so a double click or a second tab changes nothing.
Nothing here talks to the network, except a provider's ``begin``, which runs outside any transaction.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.db import router, transaction
from django.urls import reverse
from django.utils import timezone

from django_lazyauth.clients.redirects import authorization_response
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, SealBroken
from django_lazyauth.kit.results import Pending
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.providers.base import Json, Page, Provider, Redirect
from django_lazyauth.sign_in import chain
from django_lazyauth.vault import store
from django_lazyauth.vault.cipher import Place, get_cipher


def callback_uri(provider: Provider) -> str:
    """Return the absolute URL that this provider sends people back to; built on the issuer, never on ``Host``."""
    return lazyauth_settings.issuer_origin + reverse("lazyauth:callback", args=[provider.name])


def send_to_provider(
    pending: PendingAuthorization, provider: Provider, *, connect: bool = False
) -> Redirect | Page | Pending:
    """Begin a leg with *provider*: a fresh state, and what the provider wants to keep, sealed (I9).

    To say who it is; or, with *connect*, on a later leg of a chain, when that stands. Whoever goes back from there
    to say who they are begins anew: what the chain stored is forgotten. ``Pending`` while the provider waits for
    another server; the row then remembers who was chosen.

    Raises:
        ProviderError: The provider cannot begin; the row stays, and another way in may be tried.
        InvalidGrant: The row moved on in another tab.
    """
    waiting = provider.prepare()
    if waiting is not None:
        choose_provider(pending, provider, status=Status.REQUESTED)
        return waiting
    state = secrets.token_urlsafe(32)
    step = provider.begin(pending, state=state, callback_uri=callback_uri(provider))
    nobody: dict[str, Any] = {} if connect else {"user": None, "is_deferred": False, "auth_time": None}
    private = seal_private(pending, provider.name, step.private or {})
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.AUTHENTICATED if connect else Status.REQUESTED, Status.SENT_UPSTREAM),
        status=Status.SENT_UPSTREAM,
        provider=provider.name,
        state_digest=digest(state) if provider.is_upstream else None,
        private=private,
        **nobody,
    )
    if not moved:
        raise InvalidGrant("This sign-in went on in another tab.")
    if not connect and chain.is_connecting(pending):
        forget_stored(pending)
    pending.status, pending.provider, pending.private = Status.SENT_UPSTREAM, provider.name, private
    return step


def choose_provider(pending: PendingAuthorization, provider: Provider, *, status: Status) -> None:
    """Note in the row who is asked, where no browser was sent anywhere.

    Raises:
        InvalidGrant: The row moved on in another tab.
    """
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.REQUESTED, Status.SENT_UPSTREAM),
        status=status,
        provider=provider.name,
        state_digest=None,
        private="",
    )
    if not moved:
        raise InvalidGrant("This sign-in went on in another tab.")
    pending.status, pending.provider = status, provider.name
    pending.state_digest, pending.private = None, ""


def _private_place(pending: PendingAuthorization, provider: str) -> Place:
    return Place("PendingAuthorization", pending.pk, provider, "private")


def seal_private(pending: PendingAuthorization, provider: str, private: Json) -> str:
    """Seal what a provider keeps between its steps: nonce, PKCE verifier, a mailed code's digest."""
    return get_cipher().seal(json.dumps(private), _private_place(pending, provider))


def open_private(pending: PendingAuthorization) -> Json:
    """Return what the provider kept.

    Raises:
        InvalidGrant: It cannot be opened any more: the person starts again.
    """
    try:
        private: Json = json.loads(
            get_cipher().open(pending.private, _private_place(pending, pending.provider))
        )
    except SealBroken:
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.") from None
    return private


def keep_private(pending: PendingAuthorization, private: Json) -> None:
    """Replace what the provider keeps, while the person is still with it."""
    PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM,),
        private=seal_private(pending, pending.provider, private),
    )


@retries_on_conflict
def fail_flow(pending: PendingAuthorization, *, error: str, description: str = "") -> str:
    """End the flow and return the URL that tells the client; what the flow stored upstream-side goes too.

    A code that was exchanged a moment ago stands, and so does what came of it.
    """
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        ended = (
            PendingAuthorization.objects.filter(pk=pending.pk)
            .exclude(status=Status.EXCHANGED)
            .update(
                status=Status.FAILED,
                state_digest=None,
                private="",
                last_error=error[:128],
                updated_at=timezone.now(),
            )
        )
        if ended:
            forget_stored(pending)
    return authorization_response(
        pending.redirect_uri, error=error, error_description=description, state=pending.state
    )


def forget_stored(pending: PendingAuthorization) -> None:
    """Forget what this authorization stored or deferred."""
    DeferredRegistration.objects.filter(pk=pending.pk).delete()
    store.delete(pending.pk)


def reopen(pending: PendingAuthorization) -> None:
    """Let the person choose again: the row goes back to where no provider was asked, and holds nothing.

    Not if another leg began meanwhile, in another tab: that one goes on.
    """
    rows = PendingAuthorization.objects.all()
    if pending.status == Status.SENT_UPSTREAM:
        rows = rows.of_leg(pending)
    reopened = rows.advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM, Status.AUTHENTICATED),
        status=Status.REQUESTED,
        provider="",
        state_digest=None,
        private="",
        user=None,
        is_deferred=False,
        auth_time=None,
    )
    if reopened:
        forget_stored(pending)
