"""The log of sign-ins: how each went, why it did not work, and for whom."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import PendingAuthorization, Reason, Status
from django_lazyauth.models.authorization import COUNTED, OPEN
from django_lazyauth.models.sign_in_log import time_of

from . import rooms
from .base import EndsSessions
from .large import ConditionFilter, ProviderFilter

SEARCH_HELP: Final = _("A person's e-mail address, user name, id or subject at the provider; client; session")
#: Columns of a request that are never shown (I13).
HIDDEN: Final = (
    *("state", "nonce", "code_challenge", "binding_digest", "state_digest", "code_digest", "private"),
    *("failures", "log_slot"),
)
ENDED: Final = (Status.EXCHANGED, Status.FAILED)


def outcome_of(row: PendingAuthorization) -> str:
    """Return a choice of :class:`OutcomeFilter`."""
    if row.status == Status.EXCHANGED:
        return "signed_in"
    if row.status == Status.FAILED:
        return "not_finished" if row.reason == Reason.NOT_FINISHED else "failed"
    return "under_way" if row.expires_at > timezone.now() else "not_finished"


class OutcomeFilter(ConditionFilter):
    title = _("outcome")
    parameter_name = "outcome"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        # With the condition of the index, so that the database finds the few that are open.
        is_open, now = COUNTED & Q(status__in=OPEN), timezone.now()
        is_left = Q(status=Status.FAILED, reason=Reason.NOT_FINISHED)
        return [
            ("signed_in", _("Signed in"), Q(status=Status.EXCHANGED)),
            ("failed", _("Failed"), Q(status=Status.FAILED) & ~Q(reason=Reason.NOT_FINISHED)),
            ("not_finished", _("Not finished"), is_left | (is_open & Q(expires_at__lte=now))),
            ("under_way", _("Under way"), is_open & Q(expires_at__gt=now)),
        ]


class ReasonFilter(ConditionFilter):
    """Of sign-ins that ended without one. What went wrong before a sign-in that worked is on its page."""

    title = _("reason")
    parameter_name = "reason"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        return [(value, label, Q(status=Status.FAILED, reason=value)) for value, label in Reason.choices]


class EndedAtFilter(ProviderFilter):
    """Of sign-ins that ended. Those under way have hardly any provider yet."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value(), status__in=ENDED) if self.value() else queryset


@admin.register(PendingAuthorization)
class SignInAdmin(EndsSessions):
    """Each request is a row, and stays for a while when it ended. Deleting one ends its session.

    Who found the sign-in that somebody asks about ends the sessions of that person from there.
    """

    hidden = HIDDEN
    list_display = ("person", "outcome", "why", "created_at", "client", "provider", "network", "short_id")
    list_display_links = ("person", "short_id")
    list_filter = (OutcomeFilter, ReasonFilter, EndedAtFilter)
    list_select_related = ("client", "user")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)
    search_help_text = SEARCH_HELP
    fieldsets = (
        (None, {"fields": ("outcome", "why", "steps")}),
        (
            _("Who"),
            {
                "fields": (
                    "user",
                    "said_subject",
                    "said_email",
                    "login_hint",
                    "network",
                    "link_to",
                    "identity_id",
                )
            },
        ),
        (
            _("What was asked"),
            {"fields": ("client", "provider", "redirect_uri", "scope", "resource", "prompt", "max_age")},
        ),
        (
            _("The row"),
            {
                "classes": ("collapse",),
                "fields": (
                    "session_id",
                    "status",
                    "is_deferred",
                    "amr",
                    "acr",
                    "failed_attempts",
                    "last_error",
                    "created_at",
                    "updated_at",
                    "expires_at",
                ),
            },
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [name for _title, options in self.fieldsets for name in options["fields"]]

    def _of_people(self, people: Any) -> Q:
        """Return the condition for what is theirs, and for what was said of them where no user is named."""
        found = super()._of_people(people)
        if people.users:
            found |= Q(link_to_id__in=people.users)
        return found | Q(said_subject__in=people.subjects) | Q(said_email__in=people.emails)

    # -- columns -------------------------------------------------------------------------------------------

    @admin.display(description=_("person"))
    def person(self, row: PendingAuthorization) -> Any:
        """Return whom this site knows, else what was said of them, else nobody."""
        if row.user is not None:
            return str(row.user)
        return row.said_email or row.said_subject or row.login_hint or _("not known")

    @admin.display(description=_("outcome"))
    def outcome(self, row: PendingAuthorization) -> Any:
        return {
            "signed_in": _("signed in"),
            "failed": _("failed"),
            "not_finished": _("not finished"),
            "under_way": _("under way"),
        }[outcome_of(row)]

    @admin.display(description=_("reason"), empty_value="–")
    def why(self, row: PendingAuthorization) -> Any:
        if row.status == Status.EXCHANGED or not row.reason:
            return row.last_error if row.status == Status.FAILED and row.last_error else None
        words = words_of(row.reason)
        return f"{words} ({row.last_error})" if row.reason == Reason.FAULT and row.last_error else words

    @admin.display(description=_("id"))
    def short_id(self, row: PendingAuthorization) -> Any:
        """Return the end of the id: its beginning is the time, which the rows of a minute share."""
        return format_html('<code title="{}">{}</code>', row.pk, str(row.pk)[-12:])

    @admin.display(description=_("steps"))
    def steps(self, row: PendingAuthorization) -> Any:
        items = sorted(_steps_of(row), key=lambda step: step[0])
        lines = ((date_format(timezone.localtime(at), "DATETIME_FORMAT"), words) for at, words in items)
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}: {}</li>", lines))

    # -- deletion ------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: PendingAuthorization) -> None:
        """End the sign-in or its session. A replay of its code is not recognised afterwards; it fails as unknown."""
        rooms.end.delete_flows([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rooms.end.delete_flows(queryset.values_list("pk", flat=True))


def words_of(reason: str) -> Any:
    """Return the words for a reason; itself where a later release wrote it."""
    return Reason(reason).label if reason in Reason.values else reason


def _steps_of(row: PendingAuthorization) -> list[tuple[Any, Any]]:
    times = (
        (row.created_at, _("began")),
        (row.asked_again_at, _("was asked for consent at the provider once more")),
        (row.auth_time, _("proved who they are")),
        (row.consented_at, _("allowed the application; a code was issued")),
        (row.exchanged_at, _("the code was redeemed: signed in")),
    )
    failures = ((time_of(entry), _words_of_failure(entry)) for entry in row.failures_read())
    return [(at, words) for at, words in (*times, *failures) if at is not None]


def _words_of_failure(entry: dict[str, str]) -> Any:
    finer = ", ".join(entry[name] for name in ("provider", "stage", "detail", "reference") if entry.get(name))
    return format_html("<strong>{}</strong> <small>{}</small>", words_of(entry.get("reason", "")), finer)
