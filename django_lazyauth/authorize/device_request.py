"""A device asks for codes: one for itself, and one that it shows to a person (RFC 8628 §3.1, §3.2).

Strangers can write these rows, so their number is bounded, in all and of one network (I16). A row counts until it is
deleted. When a cap is reached, rows that can come to nothing any more are deleted here. None that is alive is: a
stranger could end somebody's sign-in.

Not here: which client asks (``grants/device``), and what the person says (:mod:`.device`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.conf.nested import DeviceFlow
from django_lazyauth.errors import InvalidClient, TemporarilyUnavailable, TooManyRequests
from django_lazyauth.kit.retry import is_foreign_key_violation, known_by, retries_on_conflict
from django_lazyauth.models import DeviceAuthorization
from django_lazyauth.models.device import ALIVE, DeviceAuthorizationQuerySet
from django_lazyauth.models.fields import digest
from django_lazyauth.toolkit import clients

from . import user_code

#: Rows at one time.
MAX_IN_ALL: Final = 1000
MAX_OF_NETWORK: Final = 50
#: Rows that one request deletes at most.
BATCH: Final = 200
#: Two codes of eight letters may be the same.
ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A checked request of a device.

    Attributes:
        max_age: Seconds since the person signed in; ``None`` where any sign-in will do.
        acr_values: How the person may have signed in; empty where the client does not care.
        jkt: Thumbprint of the key that the tokens will be bound to (RFC 9449); empty for bearer tokens.
        network: Of the device.
    """

    client: clients.Client
    scopes: tuple[str, ...]
    resources: tuple[str, ...] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    jkt: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class DeviceCodes:
    """What the device gets (RFC 8628 §3.2). Only digests are kept.

    Attributes:
        user_code: As it is shown.
        expires_in: Seconds.
        interval: Seconds between two polls.
    """

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    expires_in: int
    interval: int


def device_flow_for(client: clients.Client) -> DeviceFlow | None:
    """Return how devices of *client* are served; ``None`` where they are not."""
    flow = lazyauth_settings.device_flow
    if flow is None or not clients.may_use_grant(client, clients.DEVICE_CODE):
        return None
    return flow if flow.strangers or not clients.is_self_registered(client) else None


def keep_device(asked: DeviceRequest, flow: DeviceFlow) -> DeviceCodes:
    """Write the row of *asked*, and return its codes.

    Raises:
        TooManyRequests: The network has too many.
        TemporarilyUnavailable: There are too many in all.
        InvalidClient: The client was deleted meanwhile.
    """
    for attempt in range(ATTEMPTS):
        device_code, shown_code = secrets.token_urlsafe(32), user_code.new_user_code()
        try:
            _insert(_new_row(asked, flow, device_code, shown_code))
        except IntegrityError as error:
            if is_foreign_key_violation(error):
                raise InvalidClient from None
            if attempt == ATTEMPTS - 1:
                raise
            continue
        seconds = int(flow.lifetime.total_seconds())
        return DeviceCodes(device_code, user_code.shown(shown_code), seconds, flow.interval)
    raise AssertionError("unreachable")


def _new_row(
    asked: DeviceRequest, flow: DeviceFlow, device_code: str, shown_code: str
) -> DeviceAuthorization:
    now = timezone.now()
    return DeviceAuthorization(
        device_digest=digest(device_code),
        user_digest=user_code.digests(shown_code)[0],
        client=asked.client,
        scope=" ".join(asked.scopes),
        resource=list(asked.resources),
        max_age=asked.max_age,
        acr_values=" ".join(asked.acr_values),
        jkt=asked.jkt,
        network=asked.network,
        interval=flow.interval,
        next_poll_at=now,
        created_at=now,
        expires_at=now + flow.lifetime,
    )


def _insert(row: DeviceAuthorization) -> None:
    _require_quota(row.network)
    written = _rows().filter(device_digest=row.device_digest)
    with known_by(written):
        _save(row)
    least, of_network = _left(row.network)
    if least < 0:
        # Concurrent requests exceeded the cap together.
        written.delete()
        raise _too_many(is_of_network=of_network < 0)


@retries_on_conflict
def _save(row: DeviceAuthorization) -> None:
    with transaction.atomic(using=_database()):
        row.save(force_insert=True, using=_database())


# -- the caps ----------------------------------------------------------------------------------------------


def _require_quota(network: str) -> None:
    if _left(network)[0] < 1:
        _delete_dead(network)
        least, of_network = _left(network)
        if least < 1:
            raise _too_many(is_of_network=of_network < 1)


def _too_many(*, is_of_network: bool) -> TooManyRequests | TemporarilyUnavailable:
    if is_of_network:
        return TooManyRequests(
            "Too many devices of this network wait for somebody. Try again later.", retry_after=60
        )
    return TemporarilyUnavailable("Too many devices wait for somebody. Try again in a few minutes.")


def _left(network: str) -> tuple[int, int]:
    """Return how many more rows are allowed, and how many of *network*. Negative if there are too many."""
    # The slices bound the work of the counts when somebody floods the site.
    of_network = MAX_OF_NETWORK - _rows().filter(network=network)[: MAX_OF_NETWORK + 1].count()
    in_all = MAX_IN_ALL - _rows()[: MAX_IN_ALL + 1].count()
    return min(of_network, in_all), of_network


@retries_on_conflict
def _delete_dead(network: str) -> None:
    """Delete some rows that can come to nothing any more: those of *network*, and others."""
    dead = _rows().filter(Q(expires_at__lte=timezone.now()) | ~Q(status__in=ALIVE))
    with transaction.atomic(using=_database()):
        rows: Any = dead.order_by("network", "expires_at")
        if connections[_database()].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        of_network = rows.filter(network=network).values_list("pk", flat=True)[:BATCH]
        keys = {*of_network, *rows.values_list("pk", flat=True)[:BATCH]}
        _rows().filter(pk__in=keys).delete()


def _rows() -> DeviceAuthorizationQuerySet:
    return DeviceAuthorization.objects.using(_database())


def _database() -> str:
    return router.db_for_write(DeviceAuthorization)
