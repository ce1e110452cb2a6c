"""What pages show of the device that asked, so that nobody allows a device that somebody else holds (RFC 8628 §5.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from django_lazyauth.authorize.device import asking_device, request_of
from django_lazyauth.authorize.first_step import usable_user
from django_lazyauth.kit.network import network_of
from django_lazyauth.models import GrantKind, PendingAuthorization


@dataclass(frozen=True, slots=True)
class DeviceCard:
    """One device.

    Attributes:
        code: As the device shows it; empty if it is not known here.
        is_elsewhere: It asked from another network than this browser's.
    """

    code: str = field(repr=False)
    network: str
    asked_at: datetime
    is_elsewhere: bool


def device_card(request: HttpRequest, pending: PendingAuthorization, secret: str) -> DeviceCard | None:
    """Return what to show of the device of *pending*; ``None`` where no device asked.

    Raises:
        InvalidGrant: The device does not wait any more.
    """
    asking = asking_device(pending, secret)
    if asking is None:
        return None
    return DeviceCard(asking.code, asking.network, asking.asked_at, asking.network != network_of(request))


def signed_in_for(request: HttpRequest, pending: PendingAuthorization) -> AbstractBaseUser | None:
    """Return who is signed in here and may answer the device of *pending*; ``None`` where no device asked."""
    if pending.grant != GrantKind.DEVICE:
        return None
    return usable_user(request, request_of(pending))
