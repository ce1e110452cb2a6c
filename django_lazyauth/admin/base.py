"""What the pages of operators share: they only read, they end sessions, or they show a secret once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_lazyauth.models import Ending

from . import rooms
from .acts import Act, Done, HasActs, ended, entries, to_job
from .large import LargeTable, SoundInput

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # Django's own class takes no type argument at run time.
    ModelAdmin = admin.ModelAdmin


#: Targets that a confirmation counts the sessions of. Of more it says so.
COUNTED: Final = 10


class ReadOnlyAdmin(LargeTable):
    """Rows that only flows write. An operator reads them, and deletes them where that ends what they stand for."""

    #: Fields that are never shown (I13).
    hidden: tuple[str, ...] = ()
    #: Whether an operator may delete such a row by itself.
    is_deletable = True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in self.model._meta.fields if field.name not in self.hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a row go with the person or client that it belongs to. They can be deleted, so it can be too."""
        if obj is not None and not self._is_own_page(request):
            return True
        return self.is_deletable and super().has_delete_permission(request, obj)

    def _is_own_page(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        return match is not None and (match.url_name or "").startswith(own)


END_ALL: Final = "lazyauth.end_all_clientsession"


class EndsSessions(HasActs, ReadOnlyAdmin):
    """Rows that name a person. An operator may end the person's sessions."""

    def acts(self) -> Sequence[Act]:
        return (END_ALL_OF_PERSON,)


def end_all_of(request: HttpRequest, targets: dict[tuple[Any, str], str], rows: list[Any], why: str) -> Done:
    """End all sessions of each target, by kind and key with its label. Many of them end behind the page."""
    job_room = rooms.ending_job
    jobs = [
        job_room.start(job_room.Target(kind, key, label), user=_user_of(request), reason=why)
        for (kind, key), label in targets.items()
    ]
    said = entries(rows, f"Ended all sessions of the {', '.join(sorted({kind for kind, _key in targets}))}.")
    if len(jobs) == 1 and jobs[0].finished_at is None:
        return Done(said, response=to_job(request, jobs[0]))
    return Done(said, ended(sum(job.ended for job in jobs)), messages.WARNING)


def count_all_of(targets: dict[tuple[Any, str], str]) -> Any:
    """Return how many sessions would end, in words."""
    job_room = rooms.ending_job
    found = sum(
        job_room.count(job_room.Target(kind, key, label))
        for (kind, key), label in list(targets.items())[:COUNTED]
    )
    if len(targets) > COUNTED:
        return ngettext("At least %d session lives now.", "At least %d sessions live now.", found) % found
    return ngettext("%d session lives now.", "%d sessions live now.", found) % found


def _user_of(request: HttpRequest) -> Any:
    return request.user if request.user.is_authenticated else None


def _people(rows: list[Any]) -> dict[tuple[Any, str], str]:
    return {(Ending.PERSON, str(row.user_id)): str(row.user) for row in rows if row.user_id is not None}


def _end_all_of_people(request: HttpRequest, rows: list[Any], why: str) -> Done:
    return end_all_of(request, _people(rows), rows, why)


END_ALL_OF_PERSON: Final = Act(
    "end_all_sessions",
    _("End all sessions of these people"),
    _(
        "They are signed out of every application, on every device. Applications that want to hear of it are told."
    ),
    END_ALL,
    _end_all_of_people,
    count=lambda rows: count_all_of(_people(rows)),
    is_possible=lambda row: row.user_id is not None,
)


class ShowsOnce(SoundInput):
    """An admin whose objects have a secret. It is shown once, on a page that nothing stores."""

    def show_once(
        self, request: HttpRequest, row: Any, *, title: Any, label: Any, value: str
    ) -> HttpResponse:
        """Return the page that shows *value*: the answer to a POST, which no cache keeps."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        response = TemplateResponse(
            request,
            "django_lazyauth/admin/shown_once.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "label": label,
                "value": value,
                "row": row,
                "opts": self.opts,
                "list_url": reverse(name, current_app=self.admin_site.name),
            },
        )
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response
