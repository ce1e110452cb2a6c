"""What operators see of the tokens that sessions hold at upstreams."""

from __future__ import annotations

from django.contrib import admin

from django_lazyauth.models import UpstreamGrant, UpstreamToken

from .base import ReadOnlyAdmin
from .large import ProviderFilter


@admin.register(UpstreamToken)
class UpstreamTokenAdmin(ReadOnlyAdmin):
    hidden = ("ticket", "access_token", "refresh_token", "id_token", "lease")
    list_display = ("session_id", "provider", "user", "client", "grant", "updated_at")
    list_filter = (ProviderFilter,)
    list_select_related = ("user", "client", "grant")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)


@admin.register(UpstreamGrant)
class UpstreamGrantAdmin(ReadOnlyAdmin):
    """What sessions live on. A grant ends with the last of them, not by its deletion."""

    is_deletable = False
    hidden = ("access_token", "refresh_token", "lease")
    list_display = (
        "id",
        "provider",
        "user",
        "subject",
        "is_standing",
        "state",
        "expires_at",
        "version",
        "updated_at",
    )
    list_filter = (ProviderFilter, "state", "is_standing")
    list_select_related = ("user",)
    uuid_fields, user_fields = ("id",), ("user",)
