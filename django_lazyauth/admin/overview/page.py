"""Show the figures of ``upkeep/figures``, each with the list that it counts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from django.contrib import admin
from django.core.checks import WARNING, run_checks
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from django_lazyauth.admin.base import ReadOnlyAdmin
from django_lazyauth.admin.sign_ins import SEARCH_HELP, words_of
from django_lazyauth.models import ClientSource, DeliveryState, GrantState, Overview

#: Begin of the ids of our checks.
OURS: Final = "lazyauth."


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    Attributes:
        is_bad: Somebody should look.
        url: Of the filtered list; empty where this operator may not see it.
    """

    label: Any
    value: Any
    url: str = ""
    is_bad: bool = False


@admin.register(Overview)
class OverviewAdmin(ReadOnlyAdmin):
    is_deletable = False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        figures = import_module("django_lazyauth.upkeep.figures")
        found, caps = figures.load(), figures.caps()
        sections = (
            (_("Sign-ins of the last 24 hours"), self._sign_ins(found, caps, figures.LIMIT)),
            (_("Providers"), [self._provider(row) for row in found.providers]),
            (_("Sessions, clients and tokens"), self._stock(found, caps, figures.LIMIT)),
            (_("Periodic tasks"), [_task(task) for task in found.tasks]),
            (_("Checks"), _checks()),
        )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Overview"),
            "opts": self.opts,
            "sections": sections,
            "sign_ins_url": self._list("lazyauth_pendingauthorization"),
            "may_search": request.user.has_perm("lazyauth.view_pendingauthorization"),
            "search_help": SEARCH_HELP,
        }
        return TemplateResponse(request, "django_lazyauth/admin/overview.html", context)

    def _sign_ins(self, found: Any, caps: dict[str, int], limit: int) -> list[Line]:
        flows = self._list("lazyauth_pendingauthorization")
        used = found.open_requests >= caps["open_requests"] * 0.8
        return [
            Line(_("signed in"), _or_more(found.signed_in, limit), f"{flows}?outcome=signed_in"),
            Line(_("failed"), found.failures, f"{flows}?outcome=failed"),
            *(
                Line(words_of(reason) if reason else _("no reason noted"), count, f"{flows}?reason={reason}")
                for reason, count in sorted(found.failed.items(), key=lambda item: -item[1])
            ),
            Line(
                _("under way, of those allowed at once"),
                f"{_or_more(found.open_requests, limit)} / {caps['open_requests']}",
                f"{flows}?outcome=under_way",
                used,
            ),
        ]

    def _provider(self, row: Any) -> Line:
        parts = []
        if row.signed_in_at is not None:
            parts.append(_("last sign-in %s ago") % timesince(row.signed_in_at))
        if row.failed_at is not None:
            parts.append(
                _("last failure %(age)s ago: %(why)s") % {"age": timesince(row.failed_at), "why": row.failure}
            )
        if row.fetched_at is not None:
            parts.append(_("keys are %s old") % timesince(row.fetched_at))
        is_failing = row.failed_at is not None and (
            row.signed_in_at is None or row.failed_at > row.signed_in_at
        )
        if row.failures:
            parts.append(_("overdue: %s") % row.last_error)
        url = reverse("admin:lazyauth_providerkeyset_change", args=[row.pk], current_app=self.admin_site.name)
        return Line(row.pk, "; ".join(map(str, parts)) or "–", url, is_failing or bool(row.failures))

    def _stock(self, found: Any, caps: dict[str, int], limit: int) -> list[Line]:
        clients = self._url_of_clients()
        waiting = f"{clients}?state=waits" if clients else ""
        unused = sum(found.unused_clients.values())
        return [
            Line(_("live sessions"), _or_more(found.sessions, limit), self._list("lazyauth_clientsession")),
            Line(
                _("registered clients that nobody uses yet, of those allowed"),
                f"{unused} / {caps['unused_clients']}",
                waiting,
                unused >= caps["unused_clients"] * 0.8,
            ),
            *(
                Line(_("… by %s") % ClientSource(source).label, count, waiting)
                for source, count in found.unused_clients.items()
            ),
            *self._given_up(found),
        ]

    def _given_up(self, found: Any) -> list[Line]:
        """Return what does not work any more: upstream grants, deliveries, rows of an earlier release."""
        grants, deliveries = self._list("lazyauth_upstreamgrant"), self._list("lazyauth_logoutdelivery")
        lines = []
        for state, count in found.grants.items():
            words = _("upstream grants: %s") % GrantState(state).label
            lines.append(Line(words, count, f"{grants}?state__exact={state}", state == GrantState.DEAD))
        for state, count in found.deliveries.items():
            words = _("logout deliveries: %s") % DeliveryState(state).label
            lines.append(Line(words, count, f"{deliveries}?state__exact={state}", True))
        if found.legacy_rows:
            lines.append(Line(_("rows of an earlier release left"), found.legacy_rows, is_bad=True))
        return lines

    def _list(self, name: str) -> str:
        return reverse(f"admin:{name}_changelist", current_app=self.admin_site.name)

    def _url_of_clients(self) -> str:
        from django_lazyauth.toolkit import clients

        meta = clients.get_client_model()._meta
        try:
            return self._list(f"{meta.app_label}_{meta.model_name}")
        except NoReverseMatch:
            return ""


def _or_more(count: int, limit: int) -> Any:
    return _("%d or more") % count if count >= limit else count


def _task(task: Any) -> Line:
    if task.last is None:
        return Line(task.name, _("never ran"), is_bad=True)
    words = _("%s ago") % timesince(task.last.started_at)
    error = task.last.error
    return Line(task.name, f"{words}: {error}" if error else words, is_bad=task.is_overdue or bool(error))


def _checks() -> list[Line]:
    """Return what fails of our checks, also of those that ask the database."""
    said = [*run_checks(), *import_module("django_lazyauth.checks").ask_database(list(connections))]
    found = [message for message in said if str(message.id).startswith(OURS) and message.level >= WARNING]
    return [Line(message.id, message.msg, is_bad=True) for message in found] or [Line(_("all pass"), "✓")]
