"""What operators see of the accounts at providers that belong to users here, and of what clients call those users."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import ProviderIdentity, SubjectIdentifier

from . import rooms
from .acts import ended
from .base import EndsSessions, ReadOnlyAdmin
from .large import ProviderFilter


@admin.register(ProviderIdentity)
class ProviderIdentityAdmin(EndsSessions):
    list_display = (
        "user",
        "provider",
        "subject",
        "email",
        "email_verified",
        "connected_domain",
        "is_default",
        "created_at",
        "seen_at",
    )
    list_filter = (ProviderFilter,)
    list_select_related = ("user",)
    text_fields, user_fields = ("subject", "email"), ("user",)
    search_help_text = _("Subject, or a person's id, user name or e-mail address")

    def delete_model(self, request: HttpRequest, obj: ProviderIdentity) -> None:
        """End what the person signed in to with it. Its delete permission is enough for that."""
        self._show_count(request, rooms.identities.delete([obj.pk]))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._show_count(request, rooms.identities.delete(queryset.values_list("pk", flat=True)))

    def _show_count(self, request: HttpRequest, count: int) -> None:
        self.message_user(request, ended(count), messages.WARNING)

    @admin.display(description=_("SSO domain"), ordering="sso_domain", empty_value="–")
    def connected_domain(self, row: ProviderIdentity) -> str | None:
        if not row.sso_domain:
            return None
        return f"{row.sso_domain} ({row.sso_name})" if row.sso_name else row.sso_domain


@admin.register(SubjectIdentifier)
class SubjectIdentifierAdmin(ReadOnlyAdmin):
    """Without its row a person would be a stranger to those clients, so it goes with the person only."""

    is_deletable = False
    list_display = ("user", "sector", "subject", "created_at")
    list_select_related = ("user",)
    text_fields, user_fields = ("subject",), ("user",)
    search_help_text = _("Subject, or a person's id, user name or e-mail address")
