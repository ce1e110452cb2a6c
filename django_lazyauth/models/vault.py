"""What one session holds at one upstream: its own ID token, and its way to the grant with the other tokens."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField, client_key
from .grant import UpstreamGrant


class UpstreamTokenQuerySet(models.QuerySet["UpstreamToken"]):
    def of_session(self, session_id: UUID) -> Self:
        """Keep the bundles of one session. Expired access tokens count: their refresh token may be alive."""
        return self.filter(session_id=session_id)


class UpstreamToken(models.Model):
    """A session at an upstream. What it seals is sealed for (session, provider, column) (I12).

    ``ticket`` holds the key of the grant, the user and the subject: without it the grant does not open. In a row of an
    earlier release access and refresh token stand here, and there is no grant. It moves when it is next used to renew
    a token, and by ``rotate_vault_keys``.
    """

    id = models.BigAutoField(primary_key=True)
    session_id = models.UUIDField(_("session"))
    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    client = client_key(verbose_name=_("client"))
    subject = ExactCharField(_("upstream subject"), max_length=255)
    grant = models.ForeignKey(
        UpstreamGrant,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("grant"),
    )
    # NULL, so that a process of an earlier release can still write its rows while a site is upgraded.
    ticket = models.TextField(_("sealed ticket"), null=True, blank=True)  # noqa: DJ001 - for the reason above
    upstream_sid = ExactCharField(  # type: ignore[misc]  # the class promises a text; only queries read this one
        _("upstream session"), max_length=255, null=True, blank=True
    )
    access_token = models.TextField(_("sealed access token"), blank=True)
    refresh_token = models.TextField(_("sealed refresh token"), blank=True)
    id_token = models.TextField(_("sealed ID token"), blank=True)
    token_type = models.CharField(_("token type"), max_length=32, default="Bearer")
    scope = models.TextField(_("scope"), blank=True)
    expires_at = models.DateTimeField(_("access token expires at"), null=True, blank=True)
    refresh_expires_at = models.DateTimeField(_("refresh token expires at"), null=True, blank=True)
    is_dead = models.BooleanField(
        _("dead"), default=False, help_text=_("The upstream refused the refresh token: sign in again.")
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    lease = models.CharField(_("lease"), max_length=64, blank=True)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    retain_until = models.DateTimeField(_("retained until"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = UpstreamTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("upstream token")
        verbose_name_plural = _("upstream tokens")
        constraints = [
            models.UniqueConstraint(fields=["session_id", "provider"], name="lazyauth_vault_one_bundle"),
            models.CheckConstraint(
                name="lazyauth_vault_tokens_once",
                condition=Q(grant__isnull=True, ticket__isnull=True)
                | Q(
                    grant__isnull=False,
                    ticket__isnull=False,
                    access_token="",
                    refresh_token="",
                    expires_at__isnull=True,
                    refresh_expires_at__isnull=True,
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["retain_until"], name="lazyauth_vault_retention"),
            # Logout tokens. MySQL and MariaDB ignore the condition.
            models.Index(fields=["subject"], name="lazyauth_vault_subject"),
            models.Index(
                fields=["upstream_sid"], name="lazyauth_vault_sid", condition=Q(upstream_sid__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} of {self.session_id}"
