"""What operators see of upstreams: the tokens that sessions hold there, and the keys of providers."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import ProviderKeySet, UpstreamToken

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


@admin.register(ProviderKeySet)
class ProviderKeySetAdmin(ReadOnlyAdmin):
    """What providers published. A provider ends in the settings, not by the deletion of its keys."""

    is_deletable = False
    list_display = ("provider", "issuer", "key_count", "fetched_at", "next_refresh_at", "failures")

    @admin.display(description=_("keys"))
    def key_count(self, row: ProviderKeySet) -> int:
        keys = row.jwks.get("keys", [])
        return len(keys) if isinstance(keys, list) else 0
