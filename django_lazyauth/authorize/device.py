"""A person and the device that waits for them: the claim of its code, what pages show of it, and the approval.

A claim begins an ordinary pending authorization, which belongs to one browser (I7). Nothing of a person is written
before the device redeems its code.

Not here: what the device is told (``grants/device``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import router, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, SealBroken
from django_lazyauth.kit.retry import known_by, retries_on_conflict
from django_lazyauth.kit.sealed_text import open_sealed, seal
from django_lazyauth.models import DeviceAuthorization, DeviceStatus, GrantKind, PendingAuthorization
from django_lazyauth.models.device import ASKING, DeviceAuthorizationQuerySet
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.toolkit import clients

from . import user_code
from .device_request import device_flow_for
from .pending import Browser, find_pending, keep_request
from .request import AuthorizationRequest
from .wanted import WantedAcr

#: Keeps this key apart from whatever else is derived from the secret (RFC 5869 §3.2).
PURPOSE: Final = "django_lazyauth shown user code v1"


class NoSuchCode(InvalidGrant):
    """The user code is unknown, used or expired, which are not told apart."""


class CodeInUse(InvalidGrant):
    """Another browser claimed the code."""


@dataclass(frozen=True, slots=True)
class AskingDevice:
    """What a page shows of the device, so that a person can compare it with the one before them.

    Attributes:
        code: As the device shows it; empty where it cannot be opened any more.
        network: That it asked from.
        asked_at: When it asked.
    """

    code: str = field(repr=False)
    network: str
    asked_at: datetime


# -- the claim ---------------------------------------------------------------------------------------------


@sensitive_variables()
def claim(typed: str, *, secret: str, network: str, others: Iterable[str] = ()) -> PendingAuthorization:
    """Claim the code that a person typed for their browser, and return the row of the flow that begins.

    The same browser gets the same flow again, also where it sends the same form twice (I23).

    Args:
        secret: Of the new flow in this browser. The same form has the same.
        network: Of the browser.
        others: Secrets of other flows of this browser.

    Raises:
        NoSuchCode: Unknown, used or expired.
        CodeInUse: Another browser claimed it.
        TemporarilyUnavailable: The quota of open requests is used up (I16).
    """
    code = user_code.normalized(typed)
    row = _find(code) if code else None
    if row is None:
        raise NoSuchCode
    own = {digest(one) for one in (secret, *others) if one}
    if row.status == DeviceStatus.CLAIMED:
        return _claimed_by(row, own)
    browser = Browser(digest(secret), network)
    session_id = uuid7()
    sealed = seal(user_code.shown(code), secret=secret, purpose=PURPOSE, place=str(row.pk))
    with known_by(_rows().filter(pk=row.pk, pending_id=session_id)):
        if _claim(row, session_id, browser, sealed):
            return find_pending(session_id, browser=browser)
    row = _find(code)
    if row is None or row.status != DeviceStatus.CLAIMED:
        raise NoSuchCode
    return _claimed_by(row, own)


def _find(code: str) -> DeviceAuthorization | None:
    """Return the request that waits for *code* or was claimed with it."""
    row = (
        _rows()
        .select_related(f"client__{clients.REGISTRATION}", "pending")
        .filter(user_digest__in=user_code.digests(code))
        .first()
    )
    if row is None or row.status not in ASKING or row.expires_at <= timezone.now():
        return None
    if not clients.is_usable(row.client) or device_flow_for(row.client) is None:
        return None
    return row


def _claimed_by(row: DeviceAuthorization, own: set[str]) -> PendingAuthorization:
    """Return the flow of a claimed code, if it is one of this browser's."""
    if row.pending is None or row.pending.binding_digest not in own:
        raise CodeInUse
    return find_pending(row.pending.pk, browser=Browser(row.pending.binding_digest))


@retries_on_conflict
def _claim(row: DeviceAuthorization, session_id: UUID, browser: Browser, sealed: str) -> bool:
    """Give the code to this flow; ``False`` if another was first. Of two browsers one wins."""
    with transaction.atomic(using=_database()):
        asked = AuthorizationRequest(
            client=row.client,
            redirect_uri=lazyauth_settings.issuer_origin + reverse("lazyauth:device-done"),
            scopes=tuple(row.scopes),
            state="",
            nonce="",
            code_challenge="",
            resources=tuple(row.resource),
            max_age=row.max_age,
            jkt=row.jkt,
            wanted_acr=WantedAcr(tuple(row.acr_values.split())),
        )
        keep_request(asked, session_id=session_id, browser=browser, device_until=row.expires_at)
        claimed = (
            _rows()
            .filter(pk=row.pk, status=DeviceStatus.WAITING, expires_at__gt=timezone.now())
            .update(status=DeviceStatus.CLAIMED, pending_id=session_id, shown_code=sealed)
        )
        if not claimed:
            transaction.set_rollback(True, using=_database())
    return bool(claimed)


def request_of(pending: PendingAuthorization) -> AuthorizationRequest:
    """Return what the device of *pending* asks for, as a request of a browser would ask it."""
    return AuthorizationRequest(
        client=pending.client,
        redirect_uri=pending.redirect_uri,
        scopes=tuple(pending.scopes),
        state="",
        nonce="",
        code_challenge="",
        resources=tuple(pending.resource),
        max_age=pending.max_age,
        wanted_acr=WantedAcr(tuple(pending.acr_values.split()), is_essential=pending.is_acr_essential),
    )


# -- what pages show ---------------------------------------------------------------------------------------


@sensitive_variables()
def asking_device(pending: PendingAuthorization, secret: str) -> AskingDevice | None:
    """Return the device of *pending* for its browser; ``None`` where no device asked.

    Raises:
        InvalidGrant: The device does not wait any more.
    """
    if pending.grant != GrantKind.DEVICE:
        return None
    row = _rows().filter(pending_id=pending.pk, status=DeviceStatus.CLAIMED).first()
    if row is None:
        raise InvalidGrant(gettext_noop("The device does not wait any more."))
    try:
        code = open_sealed(row.shown_code, secret=secret, purpose=PURPOSE, place=str(row.pk))
    except SealBroken:
        code = ""
    return AskingDevice(code, row.network, row.created_at)


# -- the approval ------------------------------------------------------------------------------------------


def waiting_device(pending: PendingAuthorization) -> DeviceAuthorization:
    """Return the device that waits for the answer to *pending*.

    Raises:
        InvalidGrant: Its code expired, or it does not wait any more.
    """
    row = _rows().alive().filter(pending_id=pending.pk, status=DeviceStatus.CLAIMED).first()
    if row is None:
        raise InvalidGrant(gettext_noop("The code of the device is too old."))
    return row


def approve(row: DeviceAuthorization) -> None:
    """Record that the person allowed it, in the caller's transaction. Its user code means nothing any more.

    Raises:
        InvalidGrant: It expired or was ended meanwhile.
    """
    claimed = _rows().filter(pk=row.pk, status=DeviceStatus.CLAIMED, expires_at__gt=timezone.now())
    if not claimed.update(status=DeviceStatus.APPROVED, user_digest=None, shown_code=""):
        raise InvalidGrant(gettext_noop("The code of the device is too old."))


def _rows() -> DeviceAuthorizationQuerySet:
    return DeviceAuthorization.objects.using(_database())


def _database() -> str:
    return router.db_for_write(DeviceAuthorization)
