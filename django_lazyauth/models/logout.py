"""Logout tokens (OpenID Connect Back-Channel Logout 1.0): to send to clients, and those that providers sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField, client_key


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    REFUSED = "refused", _("refused by the client")
    GIVEN_UP = "given_up", _("given up")


#: How long a worker owns a delivery: the longest request, and the write of its outcome.
CLAIM_TIME: Final = timedelta(seconds=60)


class LogoutDeliveryQuerySet(models.QuerySet["LogoutDelivery"]):
    def waiting(self) -> LogoutDeliveryQuerySet:
        return self.filter(state=DeliveryState.WAITING)

    def finished(self, before: datetime) -> LogoutDeliveryQuerySet:
        """Keep the deliveries that ended before *before*."""
        return self.exclude(state=DeliveryState.WAITING).filter(updated_at__lt=before)

    def due(self) -> LogoutDeliveryQuerySet:
        """Keep what should be tried now, the longest waiting first, by the clock of the database."""
        return self.waiting().filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "pk")

    def claim(self, pk: int) -> LogoutDelivery | None:
        """Claim the next attempt of a delivery. Of concurrent workers one gets it; the others get ``None``.

        The claim of a worker that died expires after :data:`CLAIM_TIME`, by the clock of the database.
        """
        taken = (
            self.due()
            .order_by()
            .filter(pk=pk)
            .update(next_attempt_at=Now() + CLAIM_TIME, attempts=F("attempts") + 1, updated_at=timezone.now())
        )
        if not taken:
            return None
        return self.select_related("client__lazyauth_registration").filter(pk=pk).first()

    def settle(self, delivery: LogoutDelivery, **values: Any) -> bool:
        """Write the outcome of a claimed attempt; ``False`` if another worker claimed the delivery since."""
        values["updated_at"] = timezone.now()
        return bool(self.waiting().filter(pk=delivery.pk, attempts=delivery.attempts).update(**values))


class LogoutDelivery(models.Model):
    """One client must be told that one session ended. The row is written in the transaction that ended it.

    The person is stored as the subject that the client knows, not as a foreign key: the user may be deleted.
    """

    id = models.BigAutoField(primary_key=True)
    session_id = models.UUIDField(_("session"), unique=True)
    client = client_key(verbose_name=_("client"))
    subject = models.CharField(_("subject"), max_length=255)
    state = models.CharField(
        _("state"), max_length=16, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)
    last_error = models.CharField(
        _("last error"), max_length=64, blank=True, help_text=_("One word, or the HTTP status.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = LogoutDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("logout delivery")
        verbose_name_plural = _("logout deliveries")
        permissions = [("retry_logoutdelivery", "Can have a logout delivered again")]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], name="lazyauth_logout_due", condition=Q(state="waiting")
            ),
            models.Index(
                fields=["state", "id"],
                name="lazyauth_logout_undelivered",
                condition=Q(state__in=["refused", "given_up"]),
            ),
            models.Index(fields=["updated_at"], name="lazyauth_logout_age", condition=~Q(state="waiting")),
        ]
        constraints = [
            models.CheckConstraint(
                name="lazyauth_logout_state_known", condition=Q(state__in=DeliveryState.values)
            ),
            models.CheckConstraint(
                name="lazyauth_logout_waits_for_a_time",
                condition=Q(state=DeliveryState.WAITING, next_attempt_at__isnull=False)
                | (~Q(state=DeliveryState.WAITING) & Q(next_attempt_at__isnull=True)),
            ),
            models.CheckConstraint(name="lazyauth_logout_names_person", condition=~Q(subject="")),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} ({self.get_state_display()})"


class UsedLogoutToken(models.Model):
    """A logout token of a provider that was taken. It is not taken again (I25)."""

    id = models.BigAutoField(primary_key=True)
    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH)
    jti_digest = models.CharField(_("digest of its id"), max_length=64)
    # A little after the token is refused for its age.
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("used logout token")
        verbose_name_plural = _("used logout tokens")
        constraints = [
            models.UniqueConstraint(fields=["provider", "jti_digest"], name="lazyauth_logout_token_once")
        ]
        indexes = [models.Index(fields=["expires_at"], name="lazyauth_logout_token_expiry")]

    def __str__(self) -> str:
        return f"{self.provider}, until {self.expires_at:%Y-%m-%d %H:%M:%S}"
