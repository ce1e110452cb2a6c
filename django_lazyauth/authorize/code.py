"""What follows from the person's answer: a code for the client, or ``access_denied`` (RFC 6749 §4.1.2).

A device has its code already, and may redeem it from then on (RFC 8628 §3.5).
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import router, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from django_lazyauth.clients.last_used import note_use
from django_lazyauth.clients.redirects import (
    AuthorizationResponse,
    authorization_response,
    redirect_uri_allowed,
)
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import AccessDenied, InvalidGrant, ProviderError
from django_lazyauth.kit.retry import known_by, retries_on_conflict
from django_lazyauth.models import (
    DeferredRegistration,
    DeviceAuthorization,
    GrantKind,
    Noted,
    PendingAuthorization,
    Reason,
    Status,
)
from django_lazyauth.models.fields import digest
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import end
from django_lazyauth.sign_in import chain
from django_lazyauth.sign_in.leg import SignInEnded, fail_flow
from django_lazyauth.sign_in.standing import stands
from django_lazyauth.toolkit import clients

from . import device
from .consent import remember_for_known
from .device_request import device_flow_for


@retries_on_conflict
def allow(pending: PendingAuthorization, *, is_silent: bool = False) -> AuthorizationResponse:
    """Record that the person allowed the request, issue its code, and return the answer that carries it.

    Args:
        is_silent: They were not asked just now, because they allowed it before.

    Raises:
        InvalidGrant: The row does not wait for consent, or the client changed since it asked.
        SignInEnded: What the person signed in with ended since.
        ConsentRequired: They were not asked, and took their consent back at this moment. The row still waits for it.
    """
    if not _is_served(pending):
        raise InvalidGrant(gettext_noop("The application is not registered here any more."))
    if not _may_ask(pending):
        raise InvalidGrant(gettext_noop("The application may not sign anybody in here any more."))
    if chain.next_leg(pending) is not None:
        raise InvalidGrant(gettext_noop("An account is still to be connected."))
    if not stands(pending):
        end.end_flow(pending.pk)
        raise SignInEnded
    if pending.grant == GrantKind.DEVICE:
        return _allow_device(pending)
    code = secrets.token_urlsafe(32)
    issued = PendingAuthorization.objects.using(_database()).filter(pk=pending.pk, code_digest=digest(code))
    with known_by(issued):
        until = timezone.now() + lazyauth_settings.code_lifetime
        _issue(pending, digest(code), until, is_silent=is_silent)
    return authorization_response(
        pending.redirect_uri, code=code, state=pending.state, is_posted=pending.is_answer_posted
    )


def _is_served(pending: PendingAuthorization) -> bool:
    """Say whether the client may still have an answer where it asked for one."""
    if not clients.is_usable(pending.client):
        return False
    return pending.grant == GrantKind.DEVICE or redirect_uri_allowed(pending.client, pending.redirect_uri)


def _may_ask(pending: PendingAuthorization) -> bool:
    if pending.grant == GrantKind.DEVICE:
        return device_flow_for(pending.client) is not None
    return clients.may_ask_for_codes(pending.client)


def _allow_device(pending: PendingAuthorization) -> AuthorizationResponse:
    """Let the device redeem the code that it has (RFC 8628 §3.5). Its browser learns nothing of that code."""
    waiting = device.waiting_device(pending)
    issued = PendingAuthorization.objects.using(_database()).filter(
        pk=pending.pk, code_digest=waiting.device_digest
    )
    with known_by(issued):
        _issue(pending, waiting.device_digest, waiting.expires_at, device_row=waiting)
    return AuthorizationResponse(pending.redirect_uri)


def _issue(
    pending: PendingAuthorization,
    code_digest: str,
    until: datetime,
    *,
    device_row: DeviceAuthorization | None = None,
    is_silent: bool = False,
) -> None:
    now = timezone.now()
    with transaction.atomic(using=_database()):
        issued = PendingAuthorization.objects.advance(
            pending.pk,
            from_status=(Status.AUTHENTICATED,),
            status=Status.CODE_ISSUED,
            code_digest=code_digest,
            code_expires_at=until,
            expires_at=until,
            consented_at=now,
        )
        if not issued:
            raise InvalidGrant(gettext_noop("This request was answered already."))
        if device_row is not None:
            device.approve(device_row)
        if pending.user is not None:
            remember_for_known(pending, is_silent=is_silent)
        note_use(pending.client)


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


def signs_in_later(pending: PendingAuthorization) -> bool:
    """Say whether the exchange of *pending*, which was just allowed, may have to sign this browser in.

    It may write a new user. It may also write a new password, and that ends the browser's session.
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


def deny(pending: PendingAuthorization) -> AuthorizationResponse:
    """Record that the person refused, and return what tells the client.

    Raises:
        InvalidGrant: The row does not wait for consent.
    """
    if pending.status != Status.AUTHENTICATED:
        raise InvalidGrant(gettext_noop("This request was answered already."))
    refused = AccessDenied("The person did not allow it.")
    noted = Noted(Reason.DENIED, pending.provider, "consent")
    return fail_flow(pending, error=refused.error, description=refused.description, noted=noted)
