"""What a client said about itself when it registered, and what an operator decided about it.

Each row stands beside one row of django-oauth-toolkit's client model, which the host may have swapped. A client that
an operator made gets a row when it is verified, disabled or used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import client_model, digest


class ClientSource(models.TextChoices):
    """Who allowed the registration. The protocol is the client's own ``registration_source``."""

    OPEN = "open", _("open registration")
    TOKEN = "token", _("initial access token")
    ELSEWHERE = "elsewhere", _("not by registration")


class ClientRegistrationQuerySet(models.QuerySet["ClientRegistration"]):
    def unused(self) -> Self:
        """Keep the self-registered clients that nobody ever allowed. They count against the cap (I16)."""
        return self.filter(slot__isnull=False)

    def expired(self, now: datetime | None = None) -> Self:
        """Keep the clients that expired unused."""
        return self.filter(expires_at__lt=now or timezone.now())


class ClientRegistration(models.Model):
    """The registration of one client.

    ``slot`` numbers the unused self-registered clients, from zero up to the cap. It is unique, so the database holds
    no more of them than the cap. A client that is used gives its slot back and never expires.
    """

    id = models.BigAutoField(primary_key=True)
    # Not swappable: see `client_key`.
    client = models.OneToOneField(
        client_model(),
        on_delete=models.CASCADE,
        related_name="lazyauth_registration",
        swappable=False,
        verbose_name=_("client"),
    )
    source = models.CharField(_("source"), max_length=16, choices=ClientSource.choices)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    token_digest = models.CharField(_("digest of the registration token"), max_length=64, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    repeat_key = models.CharField(  # noqa: DJ001 - unique, so that none is NULL
        _("digest of network and metadata"),
        max_length=64,
        null=True,
        blank=True,
    )
    network = models.CharField(_("network"), max_length=43, blank=True)
    initial_access_token = models.ForeignKey(
        "lazyauth.InitialAccessToken",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="registrations",
        verbose_name=_("initial access token"),
    )
    slot = models.PositiveIntegerField(_("place among the unused"), unique=True, null=True, blank=True)
    expires_at = models.DateTimeField(_("expires unless used by"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    disabled_at = models.DateTimeField(_("disabled at"), null=True, blank=True)
    # Of the picture that is kept (`client_logo.py`); empty where there is none.
    logo_digest = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    created_at = models.DateTimeField(_("registered at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = ClientRegistrationQuerySet.as_manager()

    class Meta:
        verbose_name = _("client registration")
        verbose_name_plural = _("client registrations")
        permissions = [
            ("verify_client", "Can verify a client"),
            ("disable_client", "Can disable and enable a client"),
            ("renew_client_secret", "Can make a new secret for a client"),
            ("fetch_client_keys", "Can fetch the keys of a client"),
        ]
        indexes = [
            # What operators look for.
            models.Index(
                fields=["verified_at"],
                name="lazyauth_client_verified",
                condition=Q(verified_at__isnull=False),
            ),
            models.Index(
                fields=["disabled_at"],
                name="lazyauth_client_disabled",
                condition=Q(disabled_at__isnull=False),
            ),
            models.Index(fields=["network"], name="lazyauth_client_network", condition=~Q(network="")),
            models.Index(
                fields=["last_used_at"], name="lazyauth_client_used", condition=Q(last_used_at__isnull=False)
            ),
            models.Index(
                fields=["client"], name="lazyauth_client_never", condition=Q(last_used_at__isnull=True)
            ),
            # For the newest unused registration and for the expired ones.
            models.Index(fields=["id"], name="lazyauth_client_unused", condition=Q(slot__isnull=False)),
            models.Index(
                fields=["expires_at"], name="lazyauth_client_expiry", condition=Q(expires_at__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["repeat_key"], name="lazyauth_client_one_repeat"),
            models.CheckConstraint(
                name="lazyauth_client_source_known", condition=Q(source__in=ClientSource.values)
            ),
            models.CheckConstraint(
                name="lazyauth_client_used_never_expires",
                condition=Q(last_used_at__isnull=True) | Q(expires_at__isnull=True, slot__isnull=True),
            ),
            models.CheckConstraint(
                name="lazyauth_client_unused_counts",
                condition=~Q(source=ClientSource.OPEN)
                | Q(expires_at__isnull=True, slot__isnull=True)
                | Q(expires_at__isnull=False, slot__isnull=False),
            ),
            models.CheckConstraint(
                name="lazyauth_client_token_needs_registration",
                condition=~Q(source=ClientSource.ELSEWHERE)
                | Q(token_digest="", repeat_key__isnull=True, expires_at__isnull=True, slot__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} ({self.source})"

    def is_inactive(self) -> bool:
        """Say whether the client is refused: an operator disabled it, or it expired unused."""
        return self.disabled_at is not None or (
            self.expires_at is not None and self.expires_at <= timezone.now()
        )


class InitialAccessTokenQuerySet(models.QuerySet["InitialAccessToken"]):
    def spend(self, token: str) -> InitialAccessToken | None:
        """Count one use of *token*; ``None`` if it is unknown, expired or spent. Concurrent callers never exceed it."""
        named = self.filter(digest=digest(token))
        usable = named.filter(uses__lt=F("max_uses"), expires_at__gt=timezone.now())
        return named.first() if usable.update(uses=F("uses") + 1) else None

    def give_back(self, pk: int) -> None:
        """Uncount a use whose registration failed."""
        self.filter(pk=pk, uses__gt=0).update(uses=F("uses") - 1)


class InitialAccessToken(models.Model):
    """A token with which an operator lets somebody register clients (RFC 7591 §1.2). Only its digest is stored."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    note = models.CharField(_("note"), max_length=200, blank=True, help_text=_("Who it is for."))
    max_uses = models.PositiveIntegerField(_("uses allowed"), default=1)
    uses = models.PositiveIntegerField(_("uses so far"), default=0, editable=False)
    expires_at = models.DateTimeField(_("expires at"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = InitialAccessTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("initial access token")
        verbose_name_plural = _("initial access tokens")
        indexes = [models.Index(fields=["note"], name="lazyauth_initial_note", condition=~Q(note=""))]
        constraints = [
            models.CheckConstraint(
                name="lazyauth_initial_token_uses", condition=Q(max_uses__gte=1) & Q(uses__lte=F("max_uses"))
            )
        ]

    def __str__(self) -> str:
        return self.note or f"#{self.pk}"
