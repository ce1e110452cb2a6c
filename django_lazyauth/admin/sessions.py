"""What operators see of sessions: those that live, what their clients are told, and consents."""

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
    Status,
)

from . import rooms
from .base import EndsSessions, ReadOnlyAdmin
from .large import ProviderFilter
from .sign_ins import HIDDEN, SEARCH_HELP


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

    hidden = HIDDEN
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
