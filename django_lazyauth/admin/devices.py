"""What operators see of devices that wait for somebody: never their codes (RFC 8628)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_lazyauth.models import DeviceAuthorization
from django_lazyauth.models.device import ALIVE

from . import rooms
from .acts import Act, Done, HasActs, entries
from .base import ReadOnlyAdmin
from .large import ConditionFilter


class StatusFilter(ConditionFilter):
    """Of those that may still get tokens. No others are listed."""

    title = _("status")
    parameter_name = "status__exact"

    def choices_of_list(self) -> list[tuple[str, Any, Q]]:
        return [(one.value, one.label, Q(status=one)) for one in ALIVE]


@admin.register(DeviceAuthorization)
class DeviceAuthorizationAdmin(HasActs, ReadOnlyAdmin):
    """Devices that may still get tokens. Ending one ends the sign-in that it waits for."""

    hidden = ("device_digest", "user_digest", "shown_code", "jkt")
    is_deletable = False
    list_display = ("client", "status", "network", "scope", "created_at", "expires_at", "id")
    list_filter = (StatusFilter,)
    list_select_related = ("client",)
    client_fields = ("client",)

    def acts(self) -> Sequence[Act]:
        return (END_DEVICES,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).alive()  # type: ignore[attr-defined]  # our manager's
        return rows


def _end_devices(request: HttpRequest, rows: list[Any], why: str) -> Done:
    count = rooms.end.end_devices([row.pk for row in rows])
    text = ngettext("%d device was ended.", "%d devices were ended.", count) % count
    return Done(entries(rows, "Ended."), text, messages.WARNING)


END_DEVICES: Final = Act(
    "end_devices",
    _("End these devices"),
    _("They get no tokens, and have to ask anew."),
    "lazyauth.delete_deviceauthorization",
    _end_devices,
)
