"""What operators see of devices that wait for somebody: never their codes (RFC 8628)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_lazyauth.models import DeviceAuthorization

from . import rooms
from .base import ReadOnlyAdmin


@admin.register(DeviceAuthorization)
class DeviceAuthorizationAdmin(ReadOnlyAdmin):
    """Devices that may still get tokens. Ending one ends the sign-in that it waits for."""

    hidden = ("device_digest", "user_digest", "shown_code", "jkt")
    is_deletable = False
    list_display = ("id", "client", "status", "network", "scope", "created_at", "expires_at")
    list_filter = ("status",)
    list_select_related = ("client",)
    client_fields = ("client",)
    actions = ("end_devices",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).alive()  # type: ignore[attr-defined]  # our manager's
        return rows

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("lazyauth.delete_deviceauthorization")

    @admin.action(description=_("End these devices"), permissions=["end"])
    def end_devices(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        count = rooms.end.end_devices(queryset.values_list("pk", flat=True))
        text = ngettext("%d device was ended.", "%d devices were ended.", count) % count
        self.message_user(request, text, messages.WARNING)
