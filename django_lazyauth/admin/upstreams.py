"""What operators see of the tokens that sessions hold at upstreams."""

from __future__ import annotations

from django.contrib import admin

from django_lazyauth.models import UpstreamToken

from .base import ReadOnlyAdmin
from .large import ProviderFilter


@admin.register(UpstreamToken)
class UpstreamTokenAdmin(ReadOnlyAdmin):
    hidden = ("access_token", "refresh_token", "id_token", "lease")
    list_display = (
        "session_id",
        "provider",
        "user",
        "client",
        "expires_at",
        "is_dead",
        "version",
        "updated_at",
    )
    list_filter = (ProviderFilter, "is_dead")
    list_select_related = ("user", "client")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)
