"""What operators see of the accounts at providers that belong to users here."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import ProviderIdentity

from .base import EndsSessions


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
    )
    list_filter = ("provider", "email_verified")
    list_select_related = ("user",)
    search_fields = ("subject", "email", "name", "sso_domain", "sso_name")

    @admin.display(description=_("SSO domain"), ordering="sso_domain", empty_value="–")
    def connected_domain(self, row: ProviderIdentity) -> str | None:
        if not row.sso_domain:
            return None
        return f"{row.sso_domain} ({row.sso_name})" if row.sso_name else row.sso_domain
