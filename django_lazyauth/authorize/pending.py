"""The row of an authorization request. It is written when a person acts, and only their browser finds it (I7, I16).

Not here: the way to a provider (:mod:`django_lazyauth.sign_in.leg`), consent and code.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.authorize import quota, refused
from django_lazyauth.authorize.request import AuthorizationRequest, SingleUse
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequestUri, TemporarilyUnavailable
from django_lazyauth.models import GrantKind, Noted, PendingAuthorization, Reason
from django_lazyauth.sign_in import identities
from django_lazyauth.sign_in.leg import SignInEnded
from django_lazyauth.toolkit import clients

#: Characters of the column. A subject of ours is a user's primary key, which is shorter.
SUBJECT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser that a flow belongs to.

    Attributes:
        binding_digest: SHA-256 of the secret in the binding cookie of this flow.
        network: The browser's address, cut to /24 or /56. It is for quotas, and identifies nobody.
        agent: Name and system of the browser, for the person's own list.
    """

    binding_digest: str
    network: str = ""
    agent: str = ""


def keep_request(
    request: AuthorizationRequest,
    *,
    session_id: UUID,
    browser: Browser,
    link_to: AbstractBaseUser | None = None,
    has_acted: bool = True,
    device_until: datetime | None = None,
) -> PendingAuthorization:
    """Write the pending row of *request*, or return the row that a double click wrote before.

    Args:
        has_acted: The person acted, or the client gets its answer. A request that was pushed or signed is used up then,
            otherwise when the person comes back from the provider.
        link_to: The account that the person signs in with is added to this user, and nobody is signed in.
        device_until: Until when the device that asks may redeem it. ``None``: a code redeems it.

    Raises:
        TemporarilyUnavailable: The quota is used up (I16).
        InvalidGrant: The row exists, and belongs to another browser or is expired.
        InvalidRequestUri: Another flow used the request up.
    """
    try:
        is_tight = quota.require_quota(browser.network)
    except TemporarilyUnavailable:
        noted = Noted(Reason.RATE_LIMIT, stage="quota", email=_address(request.login_hint))
        refused.note_refusal(request.client, browser.network, noted)
        raise
    pending = _new_row(request, session_id, browser, link_to, device_until)
    pending.pushed_digest = pending.request_digest if has_acted else None
    try:
        with transaction.atomic(using=_database()):
            pending.save(force_insert=True)
    except IntegrityError:
        if (used_by := flow_of(request.single_use)) and used_by.pk != session_id:
            raise InvalidRequestUri from None
        return find_pending(session_id, browser=browser)
    if is_tight:
        quota.take_back_if_exceeded(pending)
    return pending


def _address(hint: str) -> str:
    """Return a hint that is an e-mail address; anybody can write any other into a link."""
    return hint if "@" in hint else ""


def _new_row(
    request: AuthorizationRequest,
    session_id: UUID,
    browser: Browser,
    link_to: AbstractBaseUser | None,
    device_until: datetime | None,
) -> PendingAuthorization:
    return PendingAuthorization(
        session_id=session_id,
        client=request.client,
        redirect_uri=request.redirect_uri,
        scope=" ".join(request.scopes),
        resource=list(request.resources),
        state=request.state,
        is_answer_posted=request.is_answer_posted,
        nonce=request.nonce,
        code_challenge=request.code_challenge,
        prompt=" ".join(sorted(request.prompts)),
        max_age=request.max_age,
        acr_values=" ".join(request.wanted_acr.values),
        is_acr_essential=request.wanted_acr.is_essential,
        login_hint=request.login_hint,
        ui_locales=request.ui_locales,
        subject_hint=(request.subject_hint or "")[:SUBJECT_LENGTH],
        jkt=request.jkt,
        binding_digest=browser.binding_digest,
        network=browser.network,
        agent=browser.agent,
        link_to=link_to,  # type: ignore[misc]  # the host's user model
        request_digest=request.single_use.digest if request.single_use else None,
        request_until=request.single_use.until if request.single_use else None,
        grant=GrantKind.DEVICE if device_until else GrantKind.CODE,
        expires_at=device_until or timezone.now() + lazyauth_settings.flow_lifetime,
    )


def flow_of(single_use: SingleUse | None) -> PendingAuthorization | None:
    """Return the row of the flow that used up what a request was handed over in, if one did."""
    if single_use is None:
        return None
    return PendingAuthorization.objects.using(_database()).filter(pushed_digest=single_use.digest).first()


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


def find_pending(session_id: UUID, *, browser: Browser) -> PendingAuthorization:
    """Return the live row of this flow if this browser began it (I7).

    Raises:
        InvalidGrant: The row is unknown, expired, or of another browser. The error is the same for all three.
    """
    pending = (
        PendingAuthorization.objects.live()
        .select_related(f"client__{clients.REGISTRATION}", "user", "deferred")
        .filter(pk=session_id, binding_digest=browser.binding_digest)
        .first()
    )
    if pending is None or not clients.is_usable(pending.client):
        raise SignInEnded
    return pending


def keep_link(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    client: clients.Client,
    redirect_uri: str,
    session_id: UUID,
    browser: Browser,
    login_hint: str = "",
) -> PendingAuthorization:
    """Write the row of a request that adds an account to *user*. The provider is chosen later.

    Raises:
        ReauthenticationRequired: The sign-in of this browser is too old.
        TemporarilyUnavailable: Too many flows are open.
    """
    identities.require_fresh(request)
    asked = AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        scopes=("openid",),
        state="",
        nonce="",
        # No code will be issued. Nobody knows a verifier for this challenge.
        code_challenge=secrets.token_urlsafe(32),
        login_hint=login_hint,
        prompts=frozenset({"select_account"}),
    )
    return keep_request(asked, session_id=session_id, browser=browser, link_to=user)
