"""A device without a browser that asks for somebody's consent, until it has its tokens (RFC 8628).

``waiting → claimed → approved → redeemed``, or ``denied`` or ``ended``. A person claims the user code in one browser,
and from then on the request is an ordinary pending authorization. Both codes are stored as digests only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .authorization import PendingAuthorization
from .fields import cascade_at_once, client_key
from .token_facts import THUMBPRINT_LENGTH


class DeviceStatus(models.TextChoices):
    WAITING = "waiting", _("waiting for a person")
    CLAIMED = "claimed", _("claimed by a browser")
    APPROVED = "approved", _("approved")
    REDEEMED = "redeemed", _("redeemed")
    DENIED = "denied", _("denied")
    ENDED = "ended", _("ended")


#: A person may still be asked, and the user code means something.
ASKING = (DeviceStatus.WAITING, DeviceStatus.CLAIMED)
#: The device may still get tokens.
ALIVE = (*ASKING, DeviceStatus.APPROVED)


class DeviceAuthorizationQuerySet(models.QuerySet["DeviceAuthorization"]):
    def alive(self, now: datetime | None = None) -> Self:
        """Keep the requests whose device may still get tokens."""
        return self.filter(status__in=ALIVE, expires_at__gt=now or timezone.now())

    def close(self, status: DeviceStatus) -> int:
        """Give those that may still get tokens their last *status*. Their user codes mean nothing any more."""
        values = {"status": status, "user_digest": None, "shown_code": ""}
        return self.filter(status__in=ALIVE).update(**values)

    def close_flows(self, session_ids: Iterable[Any], status: DeviceStatus) -> int:
        """Do that for the requests that became these pending authorizations."""
        return self.filter(pending_id__in=list(session_ids)).close(status)


class DeviceAuthorization(models.Model):
    """What one device asked for, and how often it may ask whether it was allowed."""

    id = models.BigAutoField(primary_key=True)
    status = models.CharField(
        _("status"), max_length=16, choices=DeviceStatus.choices, default=DeviceStatus.WAITING
    )
    device_digest = models.CharField(_("digest of the device code"), max_length=64, editable=False)
    user_digest = models.CharField(  # noqa: DJ001 - unique, so that none is NULL
        _("digest of the user code"), max_length=64, null=True, blank=True, editable=False
    )
    shown_code = models.TextField(
        _("user code for its browser"),
        blank=True,
        editable=False,
        help_text=_("Sealed under the secret of the browser that claimed it."),
    )

    client = client_key(verbose_name=_("client"))
    scope = models.TextField(_("scope"), blank=True)
    resource = models.JSONField(_("resource"), default=list, blank=True)
    max_age = models.PositiveIntegerField(_("maximum age"), null=True, blank=True)
    acr_values = models.CharField(_("context classes asked for"), max_length=1024, blank=True)
    jkt = models.CharField(_("thumbprint of the key"), max_length=THUMBPRINT_LENGTH, blank=True)
    network = models.CharField(_("network of the device"), max_length=43, blank=True)

    interval = models.PositiveSmallIntegerField(_("seconds between two polls"))
    next_poll_at = models.DateTimeField(_("next poll at"))
    pending = models.OneToOneField(
        PendingAuthorization,
        on_delete=cascade_at_once,
        null=True,
        blank=True,
        related_name="device",
        verbose_name=_("pending authorization"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"))

    objects = DeviceAuthorizationQuerySet.as_manager()

    class Meta:
        verbose_name = _("device authorization")
        verbose_name_plural = _("device authorizations")
        indexes = [
            # The cap of a network.
            models.Index(fields=["network", "expires_at"], name="lazyauth_device_network"),
            # The cap of all, and the sweep.
            models.Index(fields=["expires_at"], name="lazyauth_device_expiry"),
            # What operators look for.
            models.Index(fields=["status", "id"], name="lazyauth_device_status"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["device_digest"], name="lazyauth_device_one_code"),
            models.UniqueConstraint(fields=["user_digest"], name="lazyauth_device_one_user_code"),
            models.CheckConstraint(
                name="lazyauth_device_status_known", condition=Q(status__in=DeviceStatus.values)
            ),
            models.CheckConstraint(
                name="lazyauth_device_user_code_while_asking",
                condition=Q(status__in=ASKING, user_digest__isnull=False)
                | Q(~Q(status__in=ASKING), user_digest__isnull=True),
            ),
            models.CheckConstraint(
                name="lazyauth_device_claimed_is_pending",
                condition=Q(status=DeviceStatus.WAITING, pending__isnull=True)
                | Q(
                    status__in=[DeviceStatus.CLAIMED, DeviceStatus.APPROVED, DeviceStatus.REDEEMED],
                    pending__isnull=False,
                )
                | Q(status__in=[DeviceStatus.DENIED, DeviceStatus.ENDED]),
            ),
            models.CheckConstraint(
                name="lazyauth_device_interval_bounded", condition=Q(interval__gte=1, interval__lte=60)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.get_status_display()})"

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()
