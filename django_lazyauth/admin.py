"""The operators' view of the rows: read-mostly, and no secret is ever shown (I13).

What cannot be shown is left out by name; what may be changed is what an operator must be able to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .client_admin import ClientAdmin, InitialAccessTokenAdmin
from .models import (
    Consent,
    DeferredRegistration,
    InitialAccessToken,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    UpstreamToken,
)
from .toolkit.admin import replace_client_admin

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # Django's own class takes no type argument at run time.
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only flows write; an operator looks, and deletes where that ends something."""

    hidden: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in self.model._meta.fields if field.name not in self.hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PendingAuthorization)
class PendingAuthorizationAdmin(ReadOnlyAdmin):
    hidden = ("state", "nonce", "code_challenge", "binding_digest", "state_digest", "code_digest", "private")
    list_display = (
        "session_id",
        "client",
        "status",
        "provider",
        "user",
        "failed_attempts",
        "last_error",
        "created_at",
    )
    list_filter = ("status", "provider")
    list_select_related = ("client", "user")
    search_fields = ("session_id", "client__name", "client__client_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(DeferredRegistration)
class DeferredRegistrationAdmin(ReadOnlyAdmin):
    hidden = ("commit",)
    list_display = ("pending", "provider", "created_at")
    list_filter = ("provider",)


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(ReadOnlyAdmin):
    list_display = ("user", "provider", "subject", "email", "email_verified", "is_default", "created_at")
    list_filter = ("provider", "email_verified")
    list_select_related = ("user",)
    search_fields = ("subject", "email", "name")


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    hidden = ("resources_digest", "client_digest")
    list_display = ("user", "client", "scope", "updated_at")
    list_select_related = ("user", "client")
    search_fields = ("client__name", "client__client_id")


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
    list_filter = ("provider", "is_dead")
    list_select_related = ("user", "client")
    search_fields = ("session_id",)


@admin.register(ProviderKeySet)
class ProviderKeySetAdmin(ReadOnlyAdmin):
    list_display = ("provider", "issuer", "key_count", "fetched_at", "next_refresh_at", "failures")

    @admin.display(description=_("keys"))
    def key_count(self, row: ProviderKeySet) -> int:
        keys = row.jwks.get("keys", [])
        return len(keys) if isinstance(keys, list) else 0


replace_client_admin(ClientAdmin)
admin.site.register(InitialAccessToken, InitialAccessTokenAdmin)
