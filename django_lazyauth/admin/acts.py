"""What operators do to rows: on the list and on the page of one row alike, each with a permission of its own.

An act asks before it happens, names what it concerns, takes a reason, and leaves an entry in the history of each row.
Who lacks the permission sees no button, and a request without it is refused.

Not here: what an act does (the rooms).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache

from django_lazyauth.kit.http import outside_transactions

from .large import SoundInput

#: Rows that a confirmation names one by one.
NAMED: Final = 20
REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What an act came to.

    Attributes:
        message: For the operator; or ``response`` where the act has a page of its own.
        entries: What the history of each row says, by primary key. Rows without an entry were left as they were.
    """

    entries: dict[Any, str]
    #: A text, lazy or not.
    message: Any = ""
    level: int = messages.SUCCESS
    response: HttpResponseBase | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done.

    Attributes:
        label: Of the button, and in the list of actions.
        warning: What the confirmation says of what follows.
        permission: Full name: ``lazyauth.end_clientsession``.
        run: Gets the request, the rows and the reason, and does it.
        count: Returns what the confirmation counts of the rows, as a sentence; nothing where it counts nothing.
        is_possible: Whether the page of a row offers it.
        is_of_one: Whether it is done to one row at a time.
    """

    name: str
    label: Promise
    warning: Promise
    permission: str
    run: Callable[[HttpRequest, list[Any], str], Done]
    count: Callable[[list[Any]], Any] | None = None
    is_possible: Callable[[Any], bool] = lambda row: True
    is_of_one: bool = False
    is_on_page: bool = True


class HasActs(SoundInput):
    """An admin of rows that acts are done to."""

    change_form_template = "django_lazyauth/admin/acts.html"
    #: Names of foreign keys, as the search of our lists has them.
    user_fields: tuple[str, ...] = ()
    client_fields: tuple[str, ...] = ()

    def acts(self) -> Sequence[Act]:
        """Return the acts of these rows."""
        # Abstract: each admin has its own. Django's metaclass of admins leaves no room for ABC.
        raise NotImplementedError

    def allowed_acts(self, request: HttpRequest) -> list[Act]:
        return [act for act in self.acts() if request.user.has_perm(act.permission)]

    # -- from the list ---------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        # Django 6.1 asks for those of the page of a row too, and says so. That page has buttons of ours.
        location = {} if action_location is None else {"action_location": action_location}
        actions: dict[str, Any] = super().get_actions(request, **location)
        is_list = action_location is None or action_location.name == "CHANGE_LIST"
        if is_list and request.GET.get("_popup") is None:
            for act in self.allowed_acts(request):
                actions[act.name] = (_action_of(act), act.name, act.label)
        return actions

    def act_on_list(self, request: HttpRequest, act: Act, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Ask, and then do it. Called by Django with the rows that were ticked."""
        rows = [row for row in queryset if act.is_possible(row)]
        if not rows:
            self.message_user(request, _("There is nothing to do for these rows."), messages.WARNING)
            return None
        if act.is_of_one and len(rows) > 1:
            self.message_user(request, _("Choose one row for this."), messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            return self._ask(request, act, rows, keys=request.POST.getlist(ACTION_CHECKBOX_NAME))
        return self._do(request, act, rows)

    # -- from the page of a row ------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        # An act may ask a provider, and opens its own transactions.
        view = self.admin_site.admin_view(outside_transactions(never_cache(self.act_view)))
        listing = self.admin_site.admin_view(outside_transactions(never_cache(self.changelist_view)))
        return [
            path("", listing, name=self._name("changelist")),
            path("<path:object_id>/act/<slug:name>/", view, name=self._name("act")),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponseBase:
        """Ask, and then do it to one row."""
        act = next((one for one in self.acts() if one.name == name), None)
        if act is None:
            raise Http404
        if not request.user.has_perm(act.permission):
            raise PermissionDenied
        self.require_sound(request)
        row = self.row_to_act_on(request, unquote(object_id))
        if row is None or not act.is_possible(row):
            raise Http404
        if request.method != "POST":
            return self._ask(request, act, [row], keys=())
        response = self._do(request, act, [row])
        if (
            response is None
            and not row._state.adding
            and self.get_object(request, unquote(object_id)) is None
        ):
            # It ended, and has no page any more.
            return HttpResponseRedirect(self._url("changelist"))
        return response or HttpResponseRedirect(self._back(row))

    def row_to_act_on(self, request: HttpRequest, key: str) -> Any:
        return self.get_object(request, key)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row = kwargs.get("obj")
        context["acts"] = [] if row is None else self.buttons(request, row)
        return super().render_change_form(request, context, *args, **kwargs)

    def buttons(self, request: HttpRequest, row: Any) -> list[tuple[Any, str]]:
        """Return label and address of each act that this operator may do to *row*."""
        return [
            (act.label, self._url("act", quote(row.pk), act.name))
            for act in self.allowed_acts(request)
            if act.is_on_page and act.is_possible(row)
        ]

    # -- what both share -------------------------------------------------------------------------------------

    def _ask(
        self, request: HttpRequest, act: Act, rows: list[Any], *, keys: Sequence[str]
    ) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "warning": act.warning,
            "rows": [self.name_of(row) for row in rows[:NAMED]],
            "further": max(0, len(rows) - NAMED),
            "counted": act.count(rows) if act.count is not None else "",
            "act": act.name,
            "keys": keys,
            "checkbox": ACTION_CHECKBOX_NAME,
            "reason_length": REASON_LENGTH,
            "opts": self.opts,
            "list_url": self._url("changelist"),
            "back_url": self._url("changelist") if keys else self._back(rows[0]),
        }
        return TemplateResponse(request, "django_lazyauth/admin/act.html", context)

    def name_of(self, row: Any) -> str:
        """Return how a confirmation names *row*: whom and what it concerns, before its id."""
        known = (getattr(row, field) for field in (*self.user_fields, *self.client_fields))
        return " · ".join([*(str(one) for one in known if one is not None), str(row)])

    def _do(self, request: HttpRequest, act: Act, rows: list[Any]) -> HttpResponseBase | None:
        reason = " ".join(request.POST.get("reason", "").split())[:REASON_LENGTH]
        done = act.run(request, rows, reason)
        for row in rows:
            if (said := done.entries.get(row.pk)) is not None:
                self.log_change(request, row, f"{said} {reason}".strip())
        if done.message:
            self.message_user(request, done.message, done.level)
        return done.response

    def _back(self, row: Any) -> str:
        return self._url("change", quote(row.pk)) if not row._state.adding else self._url("changelist")

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _url(self, page: str, *args: str) -> str:
        return reverse(f"admin:{self._name(page)}", args=args, current_app=self.admin_site.name)


def _action_of(act: Act) -> Callable[[Any, HttpRequest, QuerySet[Any]], Any]:
    def action(
        model_admin: HasActs, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        return model_admin.act_on_list(request, act, queryset)

    return action


def entries(rows: list[Any], said: str) -> dict[Any, str]:
    """Return the same entry for each row."""
    return {row.pk: said for row in rows}


def ended(count: int) -> str:
    return ngettext("%d session was ended.", "%d sessions were ended.", count) % count


def to_job(request: HttpRequest, job: Any) -> HttpResponse:
    """Show how far a job is."""
    return HttpResponseRedirect(reverse("admin:lazyauth_endingjob_change", args=[job.pk]))
