"""Requests that are refused before they have a row, for the log of sign-ins.

Anybody can make such requests. So the same refusal is noted once a minute and has one row, all refusals together are
noted a few times a minute, and their rows have a fixed number of places (I16). While the cache is down none is noted.

Not here: what the person reads.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError, router, transaction
from django.db.models import F
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.retry import drop_if_broken
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import Noted, PendingAuthorization, Reason, Status
from django_lazyauth.sign_in.leg import note
from django_lazyauth.toolkit import clients
from django_lazyauth.upkeep.sign_in_log import REFUSALS, SIZE

logger = logging.getLogger("django_lazyauth.sign_in")

_ONE: Final = Throttle("refusal", 1, timedelta(minutes=1))
_ALL: Final = Throttle("refusals", 60, timedelta(minutes=1))
#: Stands where a request has a challenge.
_NO_CHALLENGE: Final = "-"


def note_refusal(client: clients.Client, network: str, noted: Noted) -> None:
    """Note that a request of *client* was refused. Never raises: who is refused is refused in any case.

    Args:
        network: Of the browser, cut to /24 or /56.
    """
    retention = lazyauth_settings.sign_in_log_retention
    key = f"{client.pk}\n{noted.reason}\n{noted.provider}\n{network}\n{noted.email.strip().lower()}"
    if not retention or not _ONE.take(key) or not _ALL.take(""):
        return
    using = router.db_for_write(PendingAuthorization)
    try:
        with transaction.atomic(using=using):
            _write(client, network, noted, key, using)
    except (DatabaseError, InterfaceError) as error:
        drop_if_broken(using)
        logger.warning("a refused request was not noted: %s", type(error).__name__)


def _write(client: clients.Client, network: str, noted: Noted, key: str, using: str) -> None:
    now = timezone.now()
    row = PendingAuthorization(
        client=client,
        status=Status.FAILED,
        provider=noted.provider,
        code_challenge=_NO_CHALLENGE,
        network=network,
        failed_attempts=1,
        log_slot=REFUSALS + int(hashlib.sha256(key.encode()).hexdigest()[:12], 16) % SIZE,
        expires_at=now + lazyauth_settings.sign_in_log_retention,
    )
    for name, value in noted.columns(row).items():
        setattr(row, name, value)
    there = PendingAuthorization.objects.using(using).filter(log_slot=row.log_slot)
    same = there.filter(
        client_id=client.pk,
        reason=row.reason,
        network=network,
        said_email=row.said_email,
        provider=row.provider,
    )
    again = same.update(failed_attempts=F("failed_attempts") + 1, expires_at=row.expires_at, updated_at=now)
    if not again:
        there.delete()
        row.save(using=using, force_insert=True)


def note_unusable_client(client_id: str, network: str) -> None:
    """Note that a client which is disabled, or which expired unused, asked for a sign-in. Others are not noted."""
    client = clients.load_client(client_id) if clients.is_client_id(client_id) else None
    if client is not None and not clients.is_usable(client):
        note_refusal(client, network, Noted(Reason.CLIENT_DISABLED, stage="authorize"))


def note_closed_domain(client: clients.Client, network: str, typed: str) -> None:
    """Note that somebody typed an address or a domain that has no sign-in here."""
    if typed.strip():
        note_refusal(client, network, _closed(typed))


def note_closed_domain_in(pending: PendingAuthorization, typed: str) -> None:
    """Note the same of a request that has a row. It goes on."""
    if typed.strip():
        note(pending, _closed(typed))


def _closed(typed: str) -> Noted:
    address = typed.strip()[:256]
    domain = address.rpartition("@")[2]
    return Noted(
        Reason.DOMAIN_NOT_ALLOWED, stage="choose", detail=domain, email=address if "@" in address else ""
    )
