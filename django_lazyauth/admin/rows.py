"""The operators' view of the rows: read-mostly, and no secret is ever shown (I13).

What cannot be shown is left out by name; what may be changed is what an operator must be able to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_lazyauth.models import (
    ClientSession,
    Consent,
    DeferredRegistration,
    InitialAccessToken,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    Status,
    UpstreamToken,
)
from django_lazyauth.sessions import end
from django_lazyauth.tokens import family
from django_lazyauth.toolkit.admin import replace_client_admin

from .clients import ClientAdmin, InitialAccessTokenAdmin

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


class EndsSessions(ReadOnlyAdmin):
    """Rows that name a person, whose sessions an operator may end."""

    actions: tuple[str, ...] = ("end_all_sessions",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("lazyauth.delete_clientsession")

    @admin.action(description=_("End all sessions of these people"), permissions=["end"])
    def end_all_sessions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        people = {row.user for row in queryset.select_related("user")}
        self.tell(request, sum(map(end.end_all_sessions, people)))

    def tell(self, request: HttpRequest, count: int) -> None:
        text = ngettext("%d session was ended.", "%d sessions were ended.", count) % count
        self.message_user(request, text, messages.WARNING)


@admin.register(ClientSession)
class ClientSessionAdmin(EndsSessions):
    """Where people are signed in now. Ending one revokes its tokens; its row stays, so that a replay is seen."""

    hidden = PendingAuthorizationAdmin.hidden
    list_display = ("session_id", "user", "client", "provider", "exchanged_at", "last_used_at")
    list_filter = ("provider",)
    list_select_related = ("user", "client")
    search_fields = ("session_id", "client__name", "client__client_id", "user__pk")
    search_help_text = _("Session, client, or a person's id")
    show_full_result_count = False
    actions = ("end_sessions", "end_all_sessions")
    ordering = ("-exchanged_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return family.with_live_tokens(super().get_queryset(request).filter(status=Status.EXCHANGED))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("last used"))
    def last_used_at(self, row: ClientSession) -> Any:
        return getattr(row, "last_used_at", None) or "–"

    @admin.action(description=_("End these sessions"), permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.tell(request, sum(map(end.end_session, list(queryset.values_list("pk", flat=True)))))


@admin.register(LogoutDelivery)
class LogoutDeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "session_id",
        "client",
        "state",
        "attempts",
        "next_attempt_at",
        "last_error",
        "created_at",
    )
    list_filter = ("state",)
    list_select_related = ("client",)
    search_fields = ("session_id", "client__name", "client__client_id")
    ordering = ("-created_at",)


@admin.register(DeferredRegistration)
class DeferredRegistrationAdmin(ReadOnlyAdmin):
    hidden = ("commit",)
    list_display = ("pending", "provider", "created_at")
    list_filter = ("provider",)


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(EndsSessions):
    list_display = (
        "user",
        "provider",
        "subject",
        "email",
        "email_verified",
        "connected_domain",
        "is_default",
        "created_at",
    )
    list_filter = ("provider", "email_verified")
    list_select_related = ("user",)
    search_fields = ("subject", "email", "name", "sso_domain", "sso_name")

    @admin.display(description=_("SSO domain"), ordering="sso_domain", empty_value="–")
    def connected_domain(self, row: ProviderIdentity) -> str | None:
        if not row.sso_domain:
            return None
        return f"{row.sso_domain} ({row.sso_name})" if row.sso_name else row.sso_domain


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
