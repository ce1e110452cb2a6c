"""What operators see of each provider: how it goes, what it published, and what it answers now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import ProviderKeySet

from . import rooms
from .acts import Act, Done, HasActs
from .base import ReadOnlyAdmin

REFRESH: Final = "lazyauth.refresh_providerkeyset"
TRY: Final = "lazyauth.test_providerkeyset"
ASKS: Final = _(
    "The provider is asked over the network, which may take some seconds. Nobody is signed in, and what is stored "
    "stays if it does not answer."
)


@admin.register(ProviderKeySet)
class ProviderAdmin(HasActs, ReadOnlyAdmin):
    """A provider ends in the settings, not by the deletion of its row."""

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

    def acts(self) -> Sequence[Act]:
        return (
            Act("try", _("Try it"), ASKS, TRY, self._try, is_possible=_is_configured),
            Act("refresh", _("Refresh now"), ASKS, REFRESH, self._refresh, is_possible=_has_keys),
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        configured = _configured()
        stored = set(self.model.objects.filter(pk__in=configured).values_list("pk", flat=True))
        missing = [name for name in configured if name not in stored]
        links = [
            (name, self._url("act", quote(name), "try")) for name in missing if request.user.has_perm(TRY)
        ]
        return super().changelist_view(request, {"not_stored": links, **(extra_context or {})})

    def row_to_act_on(self, request: HttpRequest, key: str) -> Any:
        """Return the row of a provider that is configured; a new one where nothing is stored of it yet."""
        if key not in _configured():
            return None
        row: ProviderKeySet | None = self.model.objects.filter(pk=key).first()
        return row or ProviderKeySet(provider=key)

    def _refresh(self, request: HttpRequest, rows: list[Any], why: str) -> Done:
        """Fetch metadata and keys. What is stored stays where that fails."""
        reports = {
            row.pk: rooms.key_refresh.refresh_provider(row.pk, force=True) for row in filter(_has_keys, rows)
        }
        said = {
            key: "Refreshed." if report.ok else f"Refresh failed: {report.reason}"
            for key, report in reports.items()
        }
        for name, report in reports.items():
            if not report.ok:
                text = _("The metadata and keys of %(provider)s could not be fetched: %(reason)s")
                self.message_user(request, text % {"provider": name, "reason": report.detail}, messages.ERROR)
        fetched = ", ".join(name for name, report in reports.items() if report.ok)
        return Done(said, _("The metadata and keys of %s were fetched.") % fetched if fetched else "")

    def _try(self, request: HttpRequest, rows: list[Any], why: str) -> Done:
        """Do what ``manage.py check_provider`` does, and show what it prints."""
        names = [row.pk for row in filter(_is_configured, rows)]
        reports = rooms.provider_report.check_providers(names) if names else []
        one = names[0] if len(names) == 1 else ""
        context = {
            **self.admin_site.each_context(request),
            "title": _("What %s answers") % ", ".join(names),
            "reports": reports,
            "opts": self.opts,
            "list_url": self._url("changelist"),
            "back_url": self._back(rows[0]) if one else self._url("changelist"),
        }
        response = TemplateResponse(request, "django_lazyauth/admin/provider_report.html", context)
        said = {report.provider: f"Tried: {report.state}." for report in reports}
        return Done(said, response=response)


def _configured() -> list[str]:
    """Return the providers of the settings that people can choose."""
    return [
        name for name, entry in lazyauth_settings.providers.items() if entry.get("enabled", True) is not False
    ]


def _is_configured(row: ProviderKeySet) -> bool:
    return row.pk in _configured()


def _has_keys(row: ProviderKeySet) -> bool:
    return _is_configured(row) and row.pk in rooms.key_refresh.openid_provider_names()


def _keys_of(row: ProviderKeySet) -> list[Any]:
    keys = row.jwks.get("keys", []) if isinstance(row.jwks, dict) else []
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _notes_of(row: ProviderKeySet) -> list[str]:
    return [str(note) for note in row.notes] if isinstance(row.notes, list) else []
