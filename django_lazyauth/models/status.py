"""Where an authorization stands, and what redeems it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    REQUESTED = "requested", _("requested")
    SENT_UPSTREAM = "sent_upstream", _("sent upstream")
    AUTHENTICATED = "authenticated", _("authenticated")
    CODE_ISSUED = "code_issued", _("code issued")
    EXCHANGED = "exchanged", _("exchanged")
    FAILED = "failed", _("failed")


class GrantKind(models.TextChoices):
    """What redeems an authorization."""

    CODE = "code", _("code")
    DEVICE = "device", _("device code")
    ID_JAG = "id_jag", _("word of an organisation")
