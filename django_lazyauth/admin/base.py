"""What the pages of operators share: they only read, they end sessions, or they show a secret once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from . import rooms
from .large import LargeTable

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # Django's own class takes no type argument at run time.
    ModelAdmin = admin.ModelAdmin


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


class EndsSessions(ReadOnlyAdmin):
    """Rows that name a person. An operator may end the person's sessions."""

    actions: tuple[str, ...] = ("end_all_sessions",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("lazyauth.delete_clientsession")

    @admin.action(description=_("End all sessions of these people"), permissions=["end"])
    def end_all_sessions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        people = {row.user for row in queryset.select_related("user") if row.user is not None}
        self.show_count(request, sum(map(rooms.end.end_all_sessions, people)))

    def show_count(self, request: HttpRequest, count: int) -> None:
        text = ngettext("%d session was ended.", "%d sessions were ended.", count) % count
        self.message_user(request, text, messages.WARNING)


class ShowsOnce(ModelAdmin):
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
