"""What is known of an access token beside its row, which is django-oauth-toolkit's."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

#: Characters of a key's SHA-256 thumbprint in base64url (RFC 7638).
THUMBPRINT_LENGTH = 43


class TokenFacts(models.Model):
    """What an access token is bound to, and who acts with it. Only such tokens have a row; a bearer token has none.

    There is no foreign key: django-oauth-toolkit's deletions would ask for these rows each time. They end with the
    session, and with the token. Without the row of its token a row says nothing, and it expires when the token does.
    """

    id = models.BigAutoField(primary_key=True)
    # Of a bound token: that of :func:`.fields.bound_digest`.
    token_checksum = models.CharField(_("token checksum"), max_length=64)
    session_id = models.UUIDField(_("session"), null=True, blank=True, editable=False)
    jkt = models.CharField(
        _("thumbprint of the key"),
        max_length=THUMBPRINT_LENGTH,
        blank=True,
        help_text=_("Of the key that each use of the token is proved with; empty for a bearer token."),
    )
    act = models.JSONField(_("actor"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("facts of an access token")
        verbose_name_plural = _("facts of access tokens")
        constraints = [
            # Not `unique` at the field: PostgreSQL would get a second index for LIKE, which nobody asks for.
            models.UniqueConstraint(fields=["token_checksum"], name="lazyauth_facts_of_token"),
        ]
        indexes = [
            # The end of a session.
            models.Index(
                fields=["session_id"],
                name="lazyauth_facts_of_session",
                condition=models.Q(session_id__isnull=False),
            ),
            # The sweep.
            models.Index(fields=["expires_at"], name="lazyauth_facts_expiry"),
        ]

    def __str__(self) -> str:
        return f"facts of an access token, until {self.expires_at:%Y-%m-%d %H:%M:%S}"
