"""What operators see of sign-ins and sessions: pending rows, live sessions, logout deliveries and consents."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import (
    ClientSession,
    Consent,
    DeferredRegistration,
    LogoutDelivery,
    PendingAuthorization,
    Status,
)

from . import rooms
from .base import EndsSessions, ReadOnlyAdmin
from .large import ProviderFilter

SEARCH_HELP = _("Session, client, or a person's id, user name or e-mail address")


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
    list_filter = ("status", ProviderFilter)
    list_select_related = ("client", "user")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)
    search_help_text = SEARCH_HELP

    def delete_model(self, request: HttpRequest, obj: PendingAuthorization) -> None:
        """End the sign-in or its session. A replay of its code is not recognised afterwards; it fails as unknown."""
        rooms.end.delete_flows([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rooms.end.delete_flows(queryset.values_list("pk", flat=True))


class _SessionList(ChangeList):
    """Asks when the sessions of the page were used last: for the page at once, not for each row that is passed."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[ClientSession] = list(self.result_list)
        used = rooms.family.last_used([row.pk for row in rows])
        for row in rows:
            row.last_used_at = used.get(row.pk)
        self.result_list = rows


@admin.register(ClientSession)
class ClientSessionAdmin(EndsSessions):
    """Where people are signed in now. Ending one revokes its tokens; its row stays, so that a replay is seen."""

    hidden = PendingAuthorizationAdmin.hidden
    is_deletable = False
    list_display = ("session_id", "user", "client", "provider", "exchanged_at", "last_used_at")
    list_filter = (ProviderFilter,)
    list_select_related = ("user", "client")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)
    search_help_text = SEARCH_HELP
    actions = ("end_sessions", "end_all_sessions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return rooms.family.with_live_tokens(super().get_queryset(request).filter(status=Status.EXCHANGED))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _SessionList

    @admin.display(description=_("last used"))
    def last_used_at(self, row: ClientSession) -> Any:
        return row.last_used_at or "–"

    @admin.action(description=_("End these sessions"), permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.show_count(request, sum(map(rooms.end.end_session, list(queryset.values_list("pk", flat=True)))))


@admin.register(DeferredRegistration)
class DeferredRegistrationAdmin(ReadOnlyAdmin):
    hidden = ("commit",)
    list_display = ("pending_id", "provider", "created_at")
    list_filter = (ProviderFilter,)
    uuid_fields = ("pending_id",)

    def delete_model(self, request: HttpRequest, obj: DeferredRegistration) -> None:
        """End the sign-in that it waits for."""
        rooms.end.end_flow(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for pk in list(queryset.values_list("pk", flat=True)):
            rooms.end.end_flow(pk)


@admin.register(LogoutDelivery)
class LogoutDeliveryAdmin(ReadOnlyAdmin):
    """What clients are still to be told. The sweep deletes what is done."""

    is_deletable = False
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
    uuid_fields, client_fields = ("session_id",), ("client",)


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    hidden = ("resources_digest", "client_digest")
    list_display = ("user", "client", "scope", "updated_at")
    list_select_related = ("user", "client")
    client_fields, user_fields = ("client",), ("user",)

    def delete_model(self, request: HttpRequest, obj: Consent) -> None:
        """Withdraw it: the person's sessions at the client end, and the next request asks anew."""
        rooms.end.withdraw(obj.user, obj.client)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for consent in list(queryset.select_related("user", "client")):
            rooms.end.withdraw(consent.user, consent.client)
