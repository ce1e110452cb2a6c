"""Where operators issue initial access tokens (RFC 7591 §1.2)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import InitialAccessToken

from . import rooms
from .base import ShowsOnce
from .large import LargeTable


@admin.register(InitialAccessToken)
class InitialAccessTokenAdmin(ShowsOnce, LargeTable):
    """Tokens for people who may register clients. Deleting one revokes it; its clients stay."""

    list_display = ("__str__", "uses", "max_uses", "expires_at", "created_by", "created_at")
    fields = ("note", "max_uses", "expires_at")
    list_select_related = ("created_by",)
    text_fields, user_fields = ("note",), ("created_by",)
    search_help_text = _("The whole note, or who issued it")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        expires_at = (timezone.now() + rooms.operator_actions.INITIAL_TOKEN_LIFETIME).replace(microsecond=0)
        return {"expires_at": expires_at, **super().get_changeform_initial_data(request)}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: InitialAccessToken, form: Any, change: bool) -> None:
        """Save the row with a token that is never shown. :meth:`response_add` replaces it by one that is shown."""
        if request.user.is_authenticated:
            obj.created_by = request.user
        rooms.operator_actions.issue_initial_access_token(obj)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        token = rooms.operator_actions.issue_initial_access_token(obj)
        return self.show_once(request, obj, title=_("Initial access token"), label=_("Token"), value=token)
