"""From a checked request to a code: keep it, send the person to a provider, ask for consent, issue the code.

Each step is one conditional UPDATE of the pending row, so a double click or a second tab changes nothing.
No step here talks to the network, except a provider's ``begin``, which runs outside any transaction.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, connections, router, transaction
from django.urls import reverse
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    AccessDenied,
    InvalidGrant,
    ProviderError,
    SealBroken,
)
from django_lazyauth.models import Consent, DeferredRegistration, PendingAuthorization, Status
from django_lazyauth.models.consent import resources_key
from django_lazyauth.models.fields import digest
from django_lazyauth.models.lost_race import begun_again
from django_lazyauth.openid.results import Pending
from django_lazyauth.providers.base import Json, Page, Provider, Redirect
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.authorization import AuthorizationRequest
from django_lazyauth.vault.cipher import Place, get_cipher

from . import answer, chain, register, room, sessions
from .client_use import note_use

#: Characters of a subject of ours, a user's primary key: those of the column are more than it has.
SUBJECT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Browser:
    """What ties a flow to one browser.

    Attributes:
        binding_digest: SHA-256 of the secret in this flow's binding cookie.
        network: Where it comes from, cut to /24 or /56; counts, never identifies.
    """

    binding_digest: str
    network: str = ""


# -- the row ---------------------------------------------------------------------------------------------


def keep(
    request: AuthorizationRequest,
    *,
    session_id: UUID,
    browser: Browser,
    link_to: AbstractBaseUser | None = None,
) -> PendingAuthorization:
    """Write the pending row of *request*, or return the one that a double click wrote.

    With *link_to* the account that the person signs in with is added to that user, and nobody is signed in.

    Raises:
        TemporarilyUnavailable: Strangers hold as many rows as they may (I16).
        InvalidGrant: The row stands, but belongs to another browser or is over.
    """
    is_tight = room.make_room(browser.network)
    now = timezone.now()
    pending = PendingAuthorization(
        session_id=session_id,
        client=request.client,
        redirect_uri=request.redirect_uri,
        scope=" ".join(request.scopes),
        resource=list(request.resources),
        state=request.state,
        nonce=request.nonce,
        code_challenge=request.code_challenge,
        prompt=" ".join(sorted(request.prompts)),
        max_age=request.max_age,
        login_hint=request.login_hint,
        ui_locales=request.ui_locales,
        subject_hint=(request.subject_hint or "")[:SUBJECT_LENGTH],
        binding_digest=browser.binding_digest,
        network=browser.network,
        link_to=link_to,  # type: ignore[misc]  # the host's user model
        expires_at=now + lazyauth_settings.flow_lifetime,
    )
    try:
        with transaction.atomic(using=_database()):
            pending.save(force_insert=True)
    except IntegrityError:
        return find(session_id, browser=browser)
    if is_tight:
        room.take_back_if_exceeded(pending)
    return pending


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


def find(session_id: UUID, *, browser: Browser) -> PendingAuthorization:
    """Return the live row of this flow if this browser began it (I7).

    Raises:
        InvalidGrant: Unknown, over, or another browser's: not told apart.
    """
    pending = (
        PendingAuthorization.objects.live()
        .select_related(f"client__{clients.REGISTRATION}", "user", "deferred")
        .filter(pk=session_id, binding_digest=browser.binding_digest)
        .first()
    )
    if pending is None or not clients.is_usable(pending.client):
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.")
    return pending


# -- the way to a provider ---------------------------------------------------------------------------------


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
        choose(pending, provider, status=Status.REQUESTED)
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
        discard(pending)
    pending.status, pending.provider, pending.private = Status.SENT_UPSTREAM, provider.name, private
    return step


def choose(pending: PendingAuthorization, provider: Provider, *, status: Status) -> None:
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


@begun_again
def fail(pending: PendingAuthorization, *, error: str, description: str = "") -> str:
    """End the flow and return the URL that tells the client; what the flow stored upstream-side goes too.

    A code that was exchanged a moment ago stands, and so does what came of it.
    """
    with transaction.atomic(using=_database()):
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
            discard(pending)
    return answer.error_answer(
        pending.redirect_uri, error=error, description=description, state=pending.state
    )


def discard(pending: PendingAuthorization) -> None:
    """Forget what this authorization stored or deferred."""
    DeferredRegistration.objects.filter(pk=pending.pk).delete()
    sessions.forget_upstream(pending.pk)


# -- who is signed in here -----------------------------------------------------------------------------------


def adopt_signed_in(
    pending: PendingAuthorization, user: AbstractBaseUser, *, auth_time: datetime, amr: list[str], acr: str
) -> PendingAuthorization:
    """Answer *pending* as the person who is signed in on this site: no provider step.

    Raises:
        InvalidGrant: The row moved on in another tab.
    """
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.REQUESTED, Status.SENT_UPSTREAM),
        status=Status.AUTHENTICATED,
        state_digest=None,
        private="",
        provider="",
        user=user,
        auth_time=auth_time,
        amr=amr,
        acr=acr,
    )
    if not moved:
        raise InvalidGrant("This sign-in went on in another tab.")
    pending.status, pending.user = Status.AUTHENTICATED, user  # type: ignore[assignment]  # the host's user model
    return pending


def deferred_account(pending: PendingAuthorization) -> str:
    """Return how the consent page names a person who is not written yet.

    Raises:
        InvalidGrant: What was kept cannot be opened any more: the person starts again.
    """
    try:
        identity = register.open_deferred(pending.deferred).identity
    except (SealBroken, DeferredRegistration.DoesNotExist):
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.") from None
    return identity.email or identity.name or identity.subject


# -- consent and code ----------------------------------------------------------------------------------------


def consent_needed(
    user: AbstractBaseUser | None,
    *,
    client: Any,
    scopes: tuple[str, ...] | list[str],
    resources: tuple[str, ...] | list[str],
    prompts: frozenset[str],
) -> bool:
    """Say whether the person has to be asked (I8).

    Not for an operator's client that may skip it; not where this was allowed before and neither scopes nor
    the client changed. A person who is not written yet has allowed nothing yet.
    """
    if "consent" in prompts:
        return True
    if clients.may_skip_consent(client):
        return False
    if user is None:
        return True
    consent = Consent.objects.filter(
        user_id=user.pk, client=client, resources_digest=resources_key(resources)
    ).first()
    return consent is None or not consent.covers(scopes, clients.metadata_digest(client))


def remember_consent(
    user_id: Any, *, client: Any, scopes: list[str], resources: list[str], known: str = ""
) -> None:
    """Write or widen the consent of a user, in the caller's transaction. One statement for a new user."""
    now = timezone.now()
    consent = Consent(
        user_id=user_id,
        client=client,
        resources_digest=resources_key(resources),
        resources=resources,
        scope=" ".join(dict.fromkeys([*known.split(), *scopes])),
        client_digest=clients.metadata_digest(client),
        updated_at=now,
    )
    on_conflict = (
        None if connections[_database()].vendor == "mysql" else ["user", "client", "resources_digest"]
    )
    Consent.objects.bulk_create(
        [consent],
        update_conflicts=True,
        unique_fields=on_conflict,
        update_fields=["resources", "scope", "client_digest", "updated_at"],
    )


@begun_again
def allow(pending: PendingAuthorization) -> str:
    """Record that the person allowed the request, issue its code, and return the URL that carries it.

    Raises:
        InvalidGrant: The row is not waiting for consent (any more), or the client changed since it asked.
    """
    client = pending.client
    if not clients.is_usable(client) or not clients.redirect_uri_allowed(client, pending.redirect_uri):
        raise InvalidGrant("The application is not registered here any more.")
    if chain.next_leg(pending) is not None:
        raise InvalidGrant("An account is still to be connected. Go back to the application and start again.")
    code = secrets.token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic(using=_database()):
        issued = PendingAuthorization.objects.advance(
            pending.pk,
            from_status=(Status.AUTHENTICATED,),
            status=Status.CODE_ISSUED,
            code_digest=digest(code),
            code_expires_at=now + lazyauth_settings.code_lifetime,
            expires_at=now + lazyauth_settings.code_lifetime,
            consented_at=now,
        )
        if not issued:
            raise InvalidGrant(
                "This request was answered already. Go back to the application and start again."
            )
        if pending.user is not None:
            _remember_for_known(pending)
        note_use(pending.client)
    return answer.code_answer(pending.redirect_uri, code=code, state=pending.state)


def _remember_for_known(pending: PendingAuthorization) -> None:
    known = (
        Consent.objects.filter(
            user=pending.user,
            client=pending.client,
            resources_digest=resources_key(pending.resource),
            client_digest=clients.metadata_digest(pending.client),
        )
        .values_list("scope", flat=True)
        .first()
    )
    remember_consent(
        pending.user_id,
        client=pending.client,
        scopes=pending.scopes,
        resources=pending.resource,
        known=known or "",
    )


def signs_in_later(pending: PendingAuthorization) -> bool:
    """Say whether the exchange of *pending*, which was just allowed, may have to sign this browser in.

    It writes a new person; or a password, which ends what the browser has.
    """
    if pending.status != Status.AUTHENTICATED:
        return False
    if pending.is_deferred:
        return True
    if not pending.provider or pending.user_id is None:
        return False
    try:
        has_pages_here = not get_provider(pending.provider).is_upstream
    except ProviderError:
        return False
    return has_pages_here and DeferredRegistration.objects.filter(pk=pending.pk).exists()


def deny(pending: PendingAuthorization) -> str:
    """Record that the person said no, and return the URL that tells the client.

    Raises:
        InvalidGrant: The row is not waiting for consent (any more).
    """
    if pending.status != Status.AUTHENTICATED:
        raise InvalidGrant("This request was answered already. Go back to the application and start again.")
    refused = AccessDenied("The person did not allow it.")
    return fail(pending, error=refused.error, description=refused.description)
