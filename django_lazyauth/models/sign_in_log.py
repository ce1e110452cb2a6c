"""Why a sign-in did not work, kept in its own row: the log that operators read.

Not here: how long such a row stays, and how many do (``upkeep/sign_in_log``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from .fields import ExactCharField

#: What a row keeps: the last failures, and of each text so many characters.
KEPT: Final = 10
#: The columns that a further failure adds to.
COLUMNS: Final = frozenset({"failures", "said_subject", "said_email", "login_hint"})
LENGTH: Final = 120


class Reason(models.TextChoices):
    """Why a sign-in did not work, in words for the operator. The words of the person are elsewhere (``web/choose``)."""

    # What the person did.
    CANCELLED = "cancelled", _("the person cancelled at the provider")
    DENIED = "denied", _("the person did not allow the application")
    NOT_FINISHED = "not_finished", _("not finished in time")
    WRONG_PASSWORD = "wrong_password", _("wrong name or password")
    NEEDS_INTERACTION = "needs_interaction", _("the provider wanted to ask the person something")
    # What this site refused.
    NOT_ALLOWED = "not_allowed", _("the settings keep this account out")
    DOMAIN_NOT_ALLOWED = "domain_not_allowed", _("the domain is not allowed to sign in here")
    CLIENT_DISABLED = "client_disabled", _("the client is disabled or has expired")
    DEACTIVATED = "deactivated", _("the user is deactivated")
    DUPLICATE = "duplicate", _("another account has this name or address")
    REFUSED_HERE = "registration_refused", _("this site refused to register the person")
    SOMEBODY_ELSE = "somebody_else", _("the client asked for somebody else")
    RATE_LIMIT = "rate_limit", _("too many attempts")
    ENDED = "ended", _("ended by the person, the provider or an operator")
    # What went wrong with the provider.
    DOWN = "down", _("the provider does not answer")
    KEYS_OVERDUE = "keys_overdue", _("the keys of the provider are overdue")
    CLOCK = "clock", _("the clocks of this site and the provider differ")
    WRONG_SECRET = "wrong_secret", _("the provider refused our client id or secret")
    MISCONFIGURED = "misconfigured", _("the provider is set up wrongly, here or there")
    REFUSED = "refused", _("the answer of the provider did not pass a check")
    UNAVAILABLE = "unavailable", _("the provider could not be used")
    FAULT = "fault", _("code of the site failed")


@dataclass(frozen=True, slots=True)
class Noted:
    """One failure, for its row.

    Attributes:
        stage: What was being done; a word of ours.
        detail: The finer word, of ours or the error code of the upstream. Never text of an answer.
        reference: The person read it, and the line of the log has it.
        subject: Who the provider said that they are, where that is known.
        email: The same, or the address that was typed.
    """

    reason: Reason
    provider: str = ""
    stage: str = ""
    detail: str = ""
    reference: str = ""
    subject: str = ""
    email: str = ""

    def columns(self, row: LoggedSignIn) -> dict[str, Any]:
        """Return the columns of *row* with this failure added, for the UPDATE that ends the attempt."""
        said = {
            name: str(getattr(self, name))[:LENGTH]
            for name in ("provider", "stage", "detail", "reference")
            if getattr(self, name)
        }
        entry = {"at": timezone.now().isoformat(timespec="seconds"), "reason": str(self.reason), **said}
        known = row.log_of_now()
        subject = self.subject or known.said_subject
        hint = known.login_hint if "@" in known.login_hint else ""
        email = self.email or known.said_email or hint
        return {
            "reason": self.reason,
            "failures": json.dumps([*known.failures_read(), entry][-KEPT:]),
            "said_subject": subject[:255],
            "said_email": email.strip().lower()[:256],
        }


class LoggedSignIn(models.Model):
    """What the row of an authorization request says to operators. Written where something fails, and by the sweep.

    A NULL ``log_slot`` is a row that still counts against the quotas of strangers. Slots are unique, so the database
    holds no more rows of ended sign-ins than there are slots.
    """

    #: A column of the row itself.
    login_hint: Any

    # A Reason. Without choices, so that a further one is no migration.
    reason = models.CharField(_("reason"), max_length=32, blank=True, default="", db_default="")
    # A text, and not JSON that is read with each row: only operators look.
    failures = models.TextField(_("failures"), blank=True, default="", db_default="", editable=False)
    said_subject = ExactCharField(
        _("subject at the provider"), max_length=255, blank=True, default="", db_default=""
    )
    said_email = models.CharField(_("address"), max_length=256, blank=True, default="", db_default="")
    log_slot = models.PositiveIntegerField(_("place in the log"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def log_of_now(self) -> LoggedSignIn:
        """Return the row with these columns, which an exchange did not read; a blank one where it is gone."""
        if self.get_deferred_fields().isdisjoint(COLUMNS):
            return self
        rows = type(self)._base_manager.filter(pk=self.pk).only("pk", *COLUMNS)
        return rows.first() or type(self)()

    def failures_read(self) -> list[dict[str, str]]:
        """Return what failed, the oldest first; nothing where the text cannot be read."""
        try:
            found = json.loads(self.failures) if self.failures else []
        except ValueError:
            return []
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def time_of(entry: dict[str, str]) -> datetime | None:
    """Return when a failure of :meth:`LoggedSignIn.failures_read` happened."""
    try:
        return parse_datetime(entry.get("at", ""))
    except ValueError:
        return None


#: Of rows that ended without a sign-in, which few are. MySQL and MariaDB ignore the conditions.
INDEXES: Final = [
    models.Index(fields=["session_id"], name="lazyauth_log_failed", condition=Q(status="failed")),
    models.Index(fields=["reason", "session_id"], name="lazyauth_log_reason", condition=Q(status="failed")),
    models.Index(fields=["said_subject"], name="lazyauth_log_subject", condition=~Q(said_subject="")),
    models.Index(fields=["said_email"], name="lazyauth_log_email", condition=~Q(said_email="")),
    # Each sign-in writes one entry to it.
    models.Index(
        fields=["provider", "session_id"],
        name="lazyauth_log_provider",
        condition=Q(status__in=["exchanged", "failed"]),
    ),
    # Of the grants that few sessions have: of the others a page of a list is found without.
    models.Index(fields=["session_id"], name="lazyauth_log_device", condition=Q(grant="device")),
    models.Index(fields=["session_id"], name="lazyauth_log_id_jag", condition=Q(grant="id_jag")),
]
CONSTRAINTS: Final = [
    models.UniqueConstraint(
        fields=["log_slot"], name="lazyauth_log_one_slot", condition=Q(log_slot__isnull=False)
    )
]
