"""The filters of the list of clients: last use, verification and state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.admin import MANUAL

RECENT = timedelta(days=30)


def _beside(**conditions: Any) -> Q:
    """Return conditions on the registration that stands beside a client's row."""
    return Q(**{f"{clients.REGISTRATION}__{name}": value for name, value in conditions.items()})


class ConditionFilter(admin.SimpleListFilter):
    """A filter with one condition for each choice."""

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        """Return (value in the address, label, condition)."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label, _condition in self.choices_of_list()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for value, _label, condition in self.choices_of_list():
            if value == self.value():
                return queryset.filter(condition)
        return queryset


class LastUsedFilter(ConditionFilter):
    title = _("last used")
    parameter_name = "used"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        since = timezone.now() - RECENT
        return [
            ("recent", _("In the past 30 days"), _beside(last_used_at__gte=since)),
            ("longer", _("Longer ago"), _beside(last_used_at__lt=since)),
            ("never", _("Never, as far as is known"), _beside(last_used_at__isnull=True)),
        ]


class VerificationFilter(ConditionFilter):
    title = _("verification")
    parameter_name = "verified"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        is_manual = Q(registration_source=MANUAL)
        return [
            ("no", _("Unverified"), ~is_manual & _beside(verified_at__isnull=True)),
            ("yes", _("Verified, or made by an operator"), is_manual | _beside(verified_at__isnull=False)),
        ]


class StateFilter(ConditionFilter):
    title = _("state")
    parameter_name = "state"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        return [
            ("works", _("Works"), _beside(disabled_at__isnull=True)),
            ("disabled", _("Disabled"), _beside(disabled_at__isnull=False)),
            ("waits", _("Expires unless used"), _beside(expires_at__isnull=False)),
        ]
