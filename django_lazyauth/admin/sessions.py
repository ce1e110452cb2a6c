"""What operators see of sessions: those that live, what their clients are told, and consents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_lazyauth.models import (
    ClientSession,
    Consent,
    DeferredRegistration,
    DeliveryState,
    Ending,
    EndingJob,
    LogoutDelivery,
    Status,
)

from . import rooms
from .acts import Act, Done, HasActs, ended, entries
from .base import END_ALL, END_ALL_OF_PERSON, EndsSessions, ReadOnlyAdmin, count_all_of, end_all_of
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
    list_display = ("user", "client", "provider", "grant", "exchanged_at", "last_used_at", "session_id")
    list_filter = (ProviderFilter, "grant")
    list_select_related = ("user", "client")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)
    search_help_text = SEARCH_HELP

    def acts(self) -> Sequence[Act]:
        return (END_SESSION, END_ALL_OF_PERSON, END_ALL_OF_CLIENT, END_ALL_OF_PROVIDER)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return rooms.family.with_live_tokens(super().get_queryset(request).filter(status=Status.EXCHANGED))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _SessionList

    @admin.display(description=_("last used"))
    def last_used_at(self, row: ClientSession) -> Any:
        return row.last_used_at or "–"


def _end_sessions(request: HttpRequest, rows: list[Any], why: str) -> Done:
    count = sum(rooms.end.end_session(row.pk) for row in rows)
    return Done(entries(rows, "Ended."), ended(count), messages.WARNING)


def _clients(rows: list[Any]) -> dict[tuple[Any, str], str]:
    return {(Ending.CLIENT, str(row.client_id)): str(row.client) for row in rows}


def _providers(rows: list[Any]) -> dict[tuple[Any, str], str]:
    return {(Ending.PROVIDER, row.provider): row.provider for row in rows if row.provider}


def _end_all_of_clients(request: HttpRequest, rows: list[Any], why: str) -> Done:
    return end_all_of(request, _clients(rows), rows, why)


def _end_all_of_providers(request: HttpRequest, rows: list[Any], why: str) -> Done:
    return end_all_of(request, _providers(rows), rows, why)


END_SESSION: Final = Act(
    "end_sessions",
    _("End these sessions"),
    _("The application loses its access at once, and is told where it wants to hear of it."),
    "lazyauth.end_clientsession",
    _end_sessions,
)
END_ALL_OF_CLIENT: Final = Act(
    "end_all_of_client",
    _("End all sessions at the client of this session"),
    _("Everybody is signed out of this application. Disable it first if nobody may come back."),
    END_ALL,
    _end_all_of_clients,
    count=lambda rows: count_all_of(_clients(rows)),
    is_of_one=True,
)
END_ALL_OF_PROVIDER: Final = Act(
    "end_all_of_provider",
    _("End all sessions that began at the provider of this session"),
    _(
        "Everybody who signed in with this provider is signed out. "
        "Take it out of the settings first if nobody may come back."
    ),
    END_ALL,
    _end_all_of_providers,
    count=lambda rows: count_all_of(_providers(rows)),
    is_possible=lambda row: bool(row.provider),
    is_of_one=True,
)


@admin.register(EndingJob)
class EndingJobAdmin(ReadOnlyAdmin):
    """What operators ended, and how far it is."""

    is_deletable = False
    hidden = ("cursor", "lease", "claimed_until")
    list_display = ("__str__", "ended", "found", "started_by", "created_at", "finished_at")
    list_select_related = ("started_by",)
    change_form_template = "django_lazyauth/admin/ending_job.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        job: EndingJob = kwargs["obj"]
        is_over = job.finished_at is not None
        context["bar_max"] = max(job.found, job.ended, 1)
        context["bar_value"] = context["bar_max"] if is_over else job.ended
        response = super().render_change_form(request, context, *args, **kwargs)
        if not is_over:
            response.headers["Refresh"] = "3"
        return response


@admin.register(DeferredRegistration)
class DeferredRegistrationAdmin(ReadOnlyAdmin):
    hidden = ("commit",)
    list_display = ("provider", "created_at", "pending_id")
    list_filter = (ProviderFilter,)
    uuid_fields = ("pending_id",)

    def delete_model(self, request: HttpRequest, obj: DeferredRegistration) -> None:
        """End the sign-in that it waits for."""
        rooms.end.end_flow(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for pk in list(queryset.values_list("pk", flat=True)):
            rooms.end.end_flow(pk)


@admin.register(LogoutDelivery)
class LogoutDeliveryAdmin(HasActs, ReadOnlyAdmin):
    """What clients are still to be told. The sweep deletes what is done."""

    is_deletable = False
    list_display = (
        "client",
        "state",
        "attempts",
        "next_attempt_at",
        "last_error",
        "created_at",
        "session_id",
    )
    list_filter = ("state",)
    list_select_related = ("client",)
    uuid_fields, client_fields = ("session_id",), ("client",)

    def acts(self) -> Sequence[Act]:
        return (RETRY,)


def _retry(request: HttpRequest, rows: list[Any], why: str) -> Done:
    again = rooms.logout_queue.retry([row.pk for row in rows])
    said = ngettext("%d logout is delivered again.", "%d logouts are delivered again.", len(again)) % len(
        again
    )
    return Done(dict.fromkeys(again, "Delivered again."), said)


RETRY: Final = Act(
    "retry",
    _("Deliver again"),
    _("The client is told once more that the session ended, at once and then as often as the first time."),
    "lazyauth.retry_logoutdelivery",
    _retry,
    is_possible=lambda row: row.state != DeliveryState.DELIVERED,
)


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
