"""What operators see of each provider: how it goes, what it published, and what it answers now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.http import outside_transactions
from django_lazyauth.models import ProviderKeySet

from . import rooms
from .base import ReadOnlyAdmin

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase


@admin.register(ProviderKeySet)
class ProviderAdmin(ReadOnlyAdmin):
    """A provider ends in the settings, not by the deletion of its row. Its acts need the permission to change it."""

    is_deletable = False
    ordering = ("provider",)
    list_display = (
        "provider",
        "signed_in_at",
        "last_failure",
        "age",
        "key_count",
        "method_found",
        "dropped_count",
    )
    change_form_template = "django_lazyauth/admin/provider_change.html"
    change_list_template = "django_lazyauth/admin/provider_list.html"
    fieldsets = (
        (None, {"fields": ("provider", "issuer", "signed_in_at", "last_failure", "method_found", "dropped")}),
        (
            _("Keys and metadata"),
            {
                "fields": (
                    "age",
                    "key_ids",
                    "fetched_at",
                    "fresh_until",
                    "next_refresh_at",
                    "failures",
                    "last_error",
                    "last_error_at",
                )
            },
        ),
        (_("Refresh tokens"), {"fields": ("asked_in_vain", "asked_in_vain_at")}),
        (_("As published"), {"classes": ("collapse",), "fields": ("configuration", "jwks")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [name for _title, options in self.fieldsets for name in options["fields"]]

    # -- columns -------------------------------------------------------------------------------------------

    @admin.display(description=_("last failed sign-in"), empty_value="–")
    def last_failure(self, row: ProviderKeySet) -> Any:
        if row.failed_at is None:
            return None
        return _("%(reason)s, %(age)s ago") % {"reason": row.failure, "age": timesince(row.failed_at)}

    @admin.display(description=_("age of its keys"), empty_value="–")
    def age(self, row: ProviderKeySet) -> Any:
        return None if row.fetched_at is None else timesince(row.fetched_at)

    @admin.display(description=_("keys"))
    def key_count(self, row: ProviderKeySet) -> int:
        return len(_keys_of(row))

    @admin.display(description=_("key ids"), empty_value="–")
    def key_ids(self, row: ProviderKeySet) -> Any:
        return ", ".join(str(key.get("kid", "?")) for key in _keys_of(row)) or None

    @admin.display(description=_("members left out"))
    def dropped_count(self, row: ProviderKeySet) -> int:
        return len(_notes_of(row))

    @admin.display(description=_("members left out"), empty_value="–")
    def dropped(self, row: ProviderKeySet) -> Any:
        return ", ".join(_notes_of(row)) or None

    # -- pages ---------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        stored = set(self.model.objects.values_list("pk", flat=True))
        missing = [name for name in _configured() if name not in stored]
        context = {"not_stored": missing if self.has_operate_permission(request) else []}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        name = kwargs["obj"].pk if kwargs.get("obj") is not None else ""
        may_act = self.has_operate_permission(request) and name in _configured()
        context["may_try"] = may_act
        context["may_refresh"] = may_act and name in rooms.key_refresh.openid_provider_names()
        return super().render_change_form(request, context, *args, **kwargs)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("lazyauth.change_providerkeyset")

    def get_urls(self) -> list[Any]:
        acts = {"refresh": self.refresh_view, "try": self.try_view}
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        own = [
            path(
                f"<path:object_id>/{act}/",
                self.admin_site.admin_view(outside_transactions(never_cache(view))),
                name=f"{name}_{act}",
            )
            for act, view in acts.items()
        ]
        return [*own, *super().get_urls()]

    def refresh_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Ask, and then fetch metadata and keys. What is stored stays where that fails."""
        row = self._row_of(request, object_id)
        if row.pk not in rooms.key_refresh.openid_provider_names():
            raise Http404
        if request.method != "POST":
            return self._confirm(request, row, title=_("Refresh %s now") % row, button=_("Refresh now"))
        report = rooms.key_refresh.refresh_provider(row.pk, force=True)
        self.log_change(request, row, "Refreshed." if report.ok else f"Refresh failed: {report.reason}")
        if report.ok:
            self.message_user(request, _("The metadata and keys of %s were fetched.") % row, messages.SUCCESS)
        else:
            text = _("The metadata and keys of %(provider)s could not be fetched: %(reason)s")
            self.message_user(request, text % {"provider": row, "reason": report.detail}, messages.ERROR)
        return HttpResponseRedirect(self._url("change", row.pk))

    def try_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Ask, and then do what ``manage.py check_provider`` does, and show what it prints."""
        row = self._row_of(request, object_id)
        if request.method != "POST":
            return self._confirm(request, row, title=_("Try %s") % row, button=_("Try it"))
        [report] = rooms.provider_report.check_providers([row.pk])
        self.log_change(request, row, f"Tried: {report.state}.")
        context = self._context(request, row, title=_("What %s answers") % row) | {"report": report}
        return TemplateResponse(request, "django_lazyauth/admin/provider_report.html", context)

    # -- what the acts share -------------------------------------------------------------------------------

    def _row_of(self, request: HttpRequest, object_id: str) -> ProviderKeySet:
        """Return the row of a provider that is configured; a new one where nothing is stored of it yet."""
        name = unquote(object_id)
        if not self.has_operate_permission(request):
            raise PermissionDenied
        if name not in _configured():
            raise Http404
        row: ProviderKeySet | None = self.model.objects.filter(pk=name).first()
        return row or ProviderKeySet(provider=name)

    def _confirm(self, request: HttpRequest, row: ProviderKeySet, *, title: Any, button: Any) -> HttpResponse:
        context = self._context(request, row, title=title) | {"button": button}
        return TemplateResponse(request, "django_lazyauth/admin/provider_confirm.html", context)

    def _context(self, request: HttpRequest, row: ProviderKeySet, *, title: Any) -> dict[str, Any]:
        is_stored = not row._state.adding
        back = self._url("change", row.pk) if is_stored else self._url("changelist")
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "row": row,
            "opts": self.opts,
            "list_url": self._url("changelist"),
            "back_url": back,
        }

    def _url(self, page: str, *args: str) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def _configured() -> list[str]:
    """Return the providers of the settings that people can choose."""
    return [
        name for name, entry in lazyauth_settings.providers.items() if entry.get("enabled", True) is not False
    ]


def _keys_of(row: ProviderKeySet) -> list[Any]:
    keys = row.jwks.get("keys", []) if isinstance(row.jwks, dict) else []
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _notes_of(row: ProviderKeySet) -> list[str]:
    return [str(note) for note in row.notes] if isinstance(row.notes, list) else []
