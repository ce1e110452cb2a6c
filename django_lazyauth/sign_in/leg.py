"""One leg of a sign-in, to a provider and back: a fresh state, the provider's private data, and how a flow fails.

Each step is one conditional UPDATE of the pending row, so a double click or a second tab changes nothing.
Only a provider's ``begin`` talks to the network, and no transaction is open then.
"""

from __future__ import annotations

import copy
import json
import secrets
from typing import Any, Final

from django.db import router, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from django_lazyauth.clients.redirects import AuthorizationResponse, authorization_response
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, SealBroken
from django_lazyauth.kit.results import Pending
from django_lazyauth.kit.retry import known_by, retries_on_conflict
from django_lazyauth.models import (
    DeviceAuthorization,
    DeviceStatus,
    GrantKind,
    Noted,
    PendingAuthorization,
    Status,
)
from django_lazyauth.models.authorization import OPEN
from django_lazyauth.models.fields import digest
from django_lazyauth.models.single_use import USED, used_once
from django_lazyauth.providers.base import Json, Page, Provider, Redirect
from django_lazyauth.vault import store
from django_lazyauth.vault.abandoned import abandon
from django_lazyauth.vault.cipher import Place, get_cipher

#: The columns of a row whose person is not known.
UNKNOWN: Final = {"user": None, "identity_id": None, "is_deferred": False, "auth_time": None}


class SignInEnded(InvalidGrant):
    """The row of this sign-in expired or was finished. The person starts again at the application."""

    def __init__(self) -> None:
        super().__init__(gettext_noop("This sign-in is over."))


class SignInMovedOn(InvalidGrant):
    """The person went on with this sign-in in another tab."""

    def __init__(self) -> None:
        super().__init__(gettext_noop("This sign-in went on in another tab."))


def is_connecting(pending: PendingAuthorization) -> bool:
    """Say whether the person is on a leg after the first: who they are is known already."""
    return pending.status == Status.SENT_UPSTREAM and pending.auth_time is not None


def callback_uri(provider: Provider) -> str:
    """Return the absolute URL that *provider* sends people back to. It is built on the issuer, never on ``Host``."""
    return lazyauth_settings.issuer_origin + reverse("lazyauth:callback", args=[provider.name])


def send_to_provider(
    pending: PendingAuthorization, provider: Provider, *, connect: bool = False
) -> Redirect | Page | Pending:
    """Begin a leg with *provider*: a fresh state, and the provider's private data, sealed (I9).

    The first leg authenticates the person. With *connect* it is a later leg of a chain. A person who goes back
    from a later leg to the first starts over, and what the chain stored is deleted. Returns ``Pending`` while the
    provider waits for another server; the row then names the provider that was chosen.

    Raises:
        ProviderError: The provider cannot begin. The row stays, and another provider may be tried.
        SignInMovedOn: The row moved on in another tab.
    """
    prompt = _next_prompt(pending, provider.name)
    waiting = provider.prepare()
    if waiting is not None:
        back_to(
            pending, Status.REQUESTED, provider=provider.name, private=_kept(pending, provider.name, prompt)
        )
        return waiting
    state = secrets.token_urlsafe(32)
    asked = _asking_for(pending, prompt) if prompt else pending
    step = provider.begin(asked, state=state, callback_uri=callback_uri(provider))
    unknown: dict[str, Any] = {} if connect else UNKNOWN
    private = seal_private(pending, provider.name, step.private or {})
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.AUTHENTICATED if connect else Status.REQUESTED, Status.SENT_UPSTREAM),
        status=Status.SENT_UPSTREAM,
        provider=provider.name,
        state_digest=digest(state) if provider.is_upstream else None,
        private=private,
        **unknown,
    )
    if not moved:
        raise SignInMovedOn
    if not connect and is_connecting(pending):
        forget_stored(pending)
    pending.status, pending.provider, pending.private = Status.SENT_UPSTREAM, provider.name, private
    return step


def back_to(
    pending: PendingAuthorization, status: Status, *, provider: str, private: str = "", **values: Any
) -> None:
    """Move a row that waits for a person to *status*, without a browser that was sent anywhere.

    Args:
        provider: Name of the provider that is asked, or empty for none.
        private: Sealed for *provider*.
        values: Further columns.

    Raises:
        SignInMovedOn: The row moved on in another tab.
    """
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.REQUESTED, Status.SENT_UPSTREAM),
        status=status,
        provider=provider,
        state_digest=None,
        private=private,
        **values,
    )
    if not moved:
        raise SignInMovedOn
    pending.status, pending.provider, pending.state_digest, pending.private = status, provider, None, private


def end_leg(pending: PendingAuthorization, **values: Any) -> None:
    """Record that the provider of the current leg answered, in the caller's transaction.

    Args:
        values: Further columns.

    Raises:
        SignInEnded: The leg ended already, or the person began another.
        InvalidRequestUri: Another flow used up the request that this one came of.
    """
    with used_once():
        moved = PendingAuthorization.objects.of_leg(pending).advance(
            pending.pk,
            from_status=(Status.SENT_UPSTREAM,),
            status=Status.AUTHENTICATED,
            state_digest=None,
            private="",
            **USED,
            **values,
        )
    if not moved:
        raise SignInEnded


def _private_place(pending: PendingAuthorization, provider: str) -> Place:
    return Place("PendingAuthorization", pending.pk, provider, "private")


def seal_private(pending: PendingAuthorization, provider: str, private: Json) -> str:
    """Seal a provider's private data between its steps: nonce, PKCE verifier, digest of a mailed code."""
    return get_cipher().seal(json.dumps(private), _private_place(pending, provider))


def open_private(pending: PendingAuthorization) -> Json:
    """Return the provider's private data.

    Raises:
        SignInEnded: It cannot be opened any more.
    """
    try:
        private: Json = json.loads(
            get_cipher().open(pending.private, _private_place(pending, pending.provider))
        )
    except SealBroken:
        raise SignInEnded from None
    return private


def keep_private(pending: PendingAuthorization, private: Json) -> None:
    """Replace the provider's private data while its leg goes on."""
    PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM,),
        private=seal_private(pending, pending.provider, private),
    )


def keep_answer(pending: PendingAuthorization, answer: Json) -> None:
    """Add what was posted to the private data of this leg. What stands there is never replaced."""
    if not answer:
        return
    private = open_private(pending)
    if "answer" in private:
        return
    waiting = PendingAuthorization.objects.of_leg(pending).filter(state_digest=pending.state_digest)
    waiting.advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM,),
        private=seal_private(pending, pending.provider, private | {"answer": answer}),
    )


@retries_on_conflict
def fail_flow(
    pending: PendingAuthorization, *, error: str, description: str = "", noted: Noted | None = None
) -> AuthorizationResponse:
    """End the flow, delete what it stored, and return what tells the client.

    A code that was exchanged a moment ago stays exchanged, and its tokens stay.

    Args:
        noted: Why, for operators.
    """
    now, using = timezone.now(), router.db_for_write(PendingAuthorization)
    row = PendingAuthorization.objects.filter(pk=pending.pk)
    failed = {
        "status": Status.FAILED,
        "state_digest": None,
        "private": "",
        "last_error": error[:128],
        "updated_at": now,
        **(noted.columns(pending) if noted is not None else {}),
    }
    with (
        known_by(row.using(using).filter(status=Status.FAILED, updated_at=now)),
        transaction.atomic(using=using),
    ):
        if row.exclude(status=Status.EXCHANGED).update(**failed):
            forget_stored(pending)
            if pending.grant == GrantKind.DEVICE:
                DeviceAuthorization.objects.close_flows([pending.pk], DeviceStatus.DENIED)
    return authorization_response(
        pending.redirect_uri,
        error=error,
        error_description=description,
        state=pending.state,
        is_posted=pending.is_answer_posted,
    )


def forget_stored(pending: PendingAuthorization) -> None:
    """Delete what this authorization stored or deferred."""
    abandon([pending.pk])
    store.delete(pending.pk)


def reopen(pending: PendingAuthorization, *, next_prompt: str = "", noted: Noted | None = None) -> bool:
    """Let the person choose again: the row goes back to before any provider was asked.

    *next_prompt* is what the provider of this leg is asked for if the person chooses it again; *noted* is why the leg
    failed, for operators.

    Where another leg began meanwhile in another tab, that leg goes on and nothing changes. Return ``False`` then, and
    where this leg was completed all the same: its COMMIT was not acknowledged (I22).
    """
    columns = noted.columns(pending) if noted is not None else {}
    rows = PendingAuthorization.objects.all()
    if pending.status == Status.SENT_UPSTREAM:
        rows = rows.of_leg(pending)
    reopened = rows.advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM, Status.AUTHENTICATED),
        status=Status.REQUESTED,
        provider="",
        state_digest=None,
        private=_kept(pending, "", next_prompt),
        **UNKNOWN,
        **columns,
    )
    if reopened:
        # A further failure of this row is added to this one.
        for name, value in columns.items():
            setattr(pending, name, value)
        forget_stored(pending)
    return reopened


def note(pending: PendingAuthorization, noted: Noted) -> None:
    """Note a failure that leaves the flow where it is."""
    columns = noted.columns(pending)
    PendingAuthorization.objects.filter(pk=pending.pk, status__in=OPEN).update(**columns)


# -- what a provider is asked for the next time ------------------------------------------------------------


def _kept(pending: PendingAuthorization, place: str, prompt: str) -> str:
    """Return *prompt* for the provider of *pending*, as a row without a leg keeps it."""
    private = {"provider": pending.provider or place, "prompt": prompt}
    return seal_private(pending, place, private) if prompt else ""


def _next_prompt(pending: PendingAuthorization, provider: str) -> str:
    """Return what *provider* has to be asked for because of how its last leg ended; usually nothing."""
    if pending.status != Status.REQUESTED or not pending.private:
        return ""
    try:
        kept = open_private(pending)
    except SignInEnded:
        return ""
    return str(kept.get("prompt", "")) if kept.get("provider") == provider else ""


def _asking_for(pending: PendingAuthorization, prompt: str) -> PendingAuthorization:
    """Return a copy of *pending* whose request to the provider has *prompt* too. The row stays what the client sent."""
    asked = copy.copy(pending)
    asked.prompt = " ".join(sorted(pending.prompts | {prompt}))
    return asked
