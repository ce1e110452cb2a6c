"""What one consent at an upstream gave: one family of refresh tokens, for all sessions that live on it."""

from __future__ import annotations

import hashlib
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import PROVIDER_LENGTH, ExactCharField, uuid7


def scope_digest(scope: str) -> str:
    """Return the SHA-256 of a set of scopes in hex. Their order does not count."""
    return hashlib.sha256(" ".join(sorted(set(scope.split()))).encode()).hexdigest()


class GrantState(models.TextChoices):
    LIVE = "live", _("live")
    #: The upstream refused the refresh token.
    DEAD = "dead", _("dead")
    #: No session is left. The refresh token waits to be revoked, and then the row goes.
    LEAVING = "leaving", _("leaving")


class Revocation(models.TextChoices):
    """What ends at the upstream with a refresh token that is revoked."""

    GRANT = "grant", _("all that the person allowed there")
    TOKEN = "token", _("its own family")
    NONE = "none", _("nothing is revoked")


class UpstreamGrantQuerySet(models.QuerySet["UpstreamGrant"]):
    def unused(self) -> Self:
        """Keep the grants that no session lives on."""
        from .vault import UpstreamToken

        return self.filter(~models.Exists(UpstreamToken.objects.filter(grant_id=models.OuterRef("pk"))))

    def used(self) -> Self:
        """Keep the grants that a session lives on."""
        from .vault import UpstreamToken

        return self.filter(models.Exists(UpstreamToken.objects.filter(grant_id=models.OuterRef("pk"))))

    def joinable(self) -> Self:
        """Keep the grants that another session may live on too, the newest first."""
        return self.filter(state=GrantState.LIVE, is_standing=True).order_by("-created_at", "-pk")


class UpstreamGrant(models.Model):
    """Access and refresh token of one consent, each sealed for its own (grant, user, provider, subject, column) (I12).

    The key is made before the row is written, because the tokens are sealed for it. A refresh token stands in one row
    and is never copied.

    The database does not check ``user``: a grant may outlive its person until it has left. What a session reaches is
    checked by its row, :class:`~django_lazyauth.models.UpstreamToken`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH)
    upstream_client = ExactCharField(_("client id at the upstream"), max_length=255, blank=True)
    subject = ExactCharField(_("upstream subject"), max_length=255, db_index=True)
    scope_digest = models.CharField(_("digest of the granted scopes"), max_length=64)
    is_standing = models.BooleanField(
        _("standing"), default=False, help_text=_("It outlives the sign-in there, and sessions share it.")
    )
    access_token = models.TextField(_("sealed access token"), blank=True)
    refresh_token = models.TextField(_("sealed refresh token"), blank=True)
    token_type = models.CharField(_("token type"), max_length=32, default="Bearer")
    scope = models.TextField(_("scope"), blank=True)
    expires_at = models.DateTimeField(_("access token expires at"), null=True, blank=True)
    refresh_expires_at = models.DateTimeField(_("refresh token expires at"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=GrantState.choices, default=GrantState.LIVE)
    version = models.PositiveIntegerField(_("version"), default=1)
    lease = models.CharField(_("lease"), max_length=64, blank=True)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    revocation = models.CharField(
        _("revocation"), max_length=8, choices=Revocation.choices, default=Revocation.GRANT
    )
    is_withdrawn = models.BooleanField(
        _("withdrawn"), default=False, help_text=_("The person left, and did not only sign out.")
    )
    attempts = models.PositiveSmallIntegerField(_("attempts to revoke"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = UpstreamGrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("upstream grant")
        verbose_name_plural = _("upstream grants")
        constraints = [
            models.CheckConstraint(
                name="lazyauth_grant_state_known", condition=Q(state__in=GrantState.values)
            ),
            # What a sign-in gave that nobody completed leaves without a person.
            models.CheckConstraint(
                name="lazyauth_grant_has_a_person",
                condition=Q(user__isnull=False) | Q(state=GrantState.LEAVING),
            ),
            models.CheckConstraint(
                name="lazyauth_grant_standing_renews",
                condition=Q(is_standing=False) | ~Q(refresh_token=""),
            ),
            models.CheckConstraint(
                name="lazyauth_grant_leaves_for_a_time",
                condition=Q(state=GrantState.LEAVING, next_attempt_at__isnull=False)
                | (~Q(state=GrantState.LEAVING) & Q(next_attempt_at__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="lazyauth_grant_leaving",
                condition=Q(state=GrantState.LEAVING),
            ),
            # Operators look for the few that are not live.
            models.Index(
                fields=["state", "id"], name="lazyauth_grant_not_live", condition=~Q(state=GrantState.LIVE)
            ),
            models.Index(
                fields=["provider", "id"], name="lazyauth_grant_ended_at", condition=~Q(state=GrantState.LIVE)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} ({self.pk})"
