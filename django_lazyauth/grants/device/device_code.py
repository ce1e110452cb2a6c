"""A device asks whether it was allowed, and redeems its code (RFC 8628 §3.4, §3.5).

Once the person has allowed it, their pending authorization is found by the device code, as that of a code is. So the
redemption is the exchange of a code, without the redirect URI and the verifier.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import router
from django.utils import timezone

from django_lazyauth.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    OAuthError,
    SlowDown,
)
from django_lazyauth.models import DeviceAuthorization, DeviceStatus, GrantKind, Status
from django_lazyauth.models.device import ASKING
from django_lazyauth.models.fields import digest
from django_lazyauth.models.locked_code import LockedCode, lock_code
from django_lazyauth.tokens.kept_answer import Used, find_kept, keep
from django_lazyauth.tokens.writes import Update
from django_lazyauth.toolkit import clients

from ..checks import authenticated_client
from ..contract import Form, Outcome, Prepared, Raced, TokenAnswer
from ..exchange.redeem import finish, judged, redeem, require_good
from ..proof import require_unused, thumbprint_of, write

GRANT_TYPE: Final = clients.DEVICE_CODE
#: A poll may come this much sooner: clocks and networks are not exact.
TOLERANCE: Final = timedelta(seconds=1)
#: Seconds that a poll which came too soon adds to the interval (RFC 8628 §3.5), and the longest interval.
SLOWER, SLOWEST = 5, 60


def device_code(form: Form, prepared: Prepared) -> Outcome:
    """Answer a token request of a device (RFC 8628 §3.4)."""
    code = form.require("device_code")
    locked = lock_code(code)
    if locked is None or locked.pending.grant != GrantKind.DEVICE:
        return _poll(form, prepared, code)
    if locked.pending.status != Status.EXCHANGED:
        return judged(locked, partial(_redeem, form, prepared, locked, code))
    return _answer_again(form, prepared, locked, code)


# -- the person has not answered yet -----------------------------------------------------------------------


def _poll(form: Form, prepared: Prepared, code: str) -> Outcome:
    row = (
        DeviceAuthorization.objects.using(router.db_for_write(DeviceAuthorization))
        .select_related(f"client__{clients.REGISTRATION}")
        .filter(device_digest=digest(code))
        .first()
    )
    client = authenticated_client(form, prepared, GRANT_TYPE, row.client if row else None)
    now = timezone.now()
    if row is None or row.client_id != client.pk or row.status in (DeviceStatus.ENDED, DeviceStatus.REDEEMED):
        raise InvalidGrant
    if row.status == DeviceStatus.DENIED:
        raise AccessDenied("The person did not allow it.")
    if row.expires_at <= now:
        raise ExpiredToken("The device code is too old. Ask for a new one.")
    if row.status == DeviceStatus.APPROVED:
        # The person allowed it after this request looked for their answer.
        raise Raced(_pending(AuthorizationPending()))
    return _note_poll(row, now)


def _note_poll(row: DeviceAuthorization, now: datetime) -> Outcome:
    """Say whether the device came too soon, and when it may come next. One UPDATE: of two at once one is first."""
    is_too_soon = now < row.next_poll_at - TOLERANCE
    interval = min(row.interval + SLOWER, SLOWEST) if is_too_soon else row.interval
    seen = DeviceAuthorization.objects.using(row._state.db).filter(
        pk=row.pk, status__in=ASKING, next_poll_at=row.next_poll_at, interval=row.interval
    )
    if not seen.update(interval=interval, next_poll_at=now + timedelta(seconds=interval)):
        raise Raced(_pending(SlowDown()))
    return _pending(SlowDown() if is_too_soon else AuthorizationPending())


def _pending(error: OAuthError) -> Outcome:
    return Outcome(TokenAnswer.of_error(error), is_kept=True)


# -- the person allowed it ---------------------------------------------------------------------------------


def _redeem(form: Form, prepared: Prepared, locked: LockedCode, code: str) -> Outcome:
    pending, now = locked.pending, timezone.now()
    client = authenticated_client(form, prepared, GRANT_TYPE, pending.client)
    is_own = pending.client_id == client.pk
    if is_own and pending.status == Status.CODE_ISSUED and (pending.code_expires_at or now) <= now:
        raise ExpiredToken("The device code is too old. Ask for a new one.")
    require_good(locked, client)
    redeemed = redeem(form, prepared, locked, client)
    used = Used(code, pending.pk, client.client_id, now)
    spent = Update(
        DeviceAuthorization,
        {"status": DeviceStatus.REDEEMED},
        where={"pending_id": pending.pk, "status": DeviceStatus.APPROVED},
    )
    kept = keep(redeemed.issued.body, redeemed.resources, thumbprint_of(prepared.proof), used)
    return finish(redeemed, pending, prepared, (spent, *kept))


def _answer_again(form: Form, prepared: Prepared, locked: LockedCode, code: str) -> Outcome:
    """Answer a device that lost its answer: within the grace as before, later with the end of its session (I2)."""
    pending, now = locked.pending, timezone.now()
    client = authenticated_client(form, prepared, GRANT_TYPE, pending.client)
    if pending.client_id != client.pk or pending.exchanged_at is None:
        raise InvalidGrant
    kept = find_kept(Used(code, pending.pk, client.client_id, pending.exchanged_at), now)
    if kept is None:
        # A copy of an earlier request shows no reuse by who has the key: it must not end the session.
        require_unused(prepared.proof)
        return Outcome.of_refusal(InvalidGrant(), ended_session=pending.pk)
    if pending.user is None or not pending.user.is_active:
        raise InvalidGrant
    if thumbprint_of(prepared.proof) != kept.jkt:
        raise InvalidGrant("The device code was used with another key just now.")
    write((), prepared.proof)
    return Outcome(TokenAnswer(kept.body))
