"""What operators see of tokens, in the place of django-oauth-toolkit's lists: no value of any, and an end of sessions.

A token is not deleted by itself: its session would go on in part. It goes with its person or client.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_lazyauth.toolkit import admin as toolkit

from . import rooms
from .base import EndsSessions, ReadOnlyAdmin


class _Tokens(EndsSessions):
    is_deletable = False
    actions = ("revoke_tokens", "end_all_sessions")
    list_select_related = ("application", "user")
    client_fields, user_fields = ("application",), ("user",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    @admin.action(description=_("Revoke: end the sessions of these tokens"), permissions=["revoke"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.show_count(request, sum(map(rooms.revoked.revoke, queryset)))


class AccessTokenAdmin(_Tokens):
    hidden = ("token", "token_checksum")
    list_display = ("pk", "user", "application", "scope", "created", "expires")


class RefreshTokenAdmin(_Tokens):
    hidden = ("token", "token_checksum")
    list_display = ("pk", "user", "application", "token_family", "created", "revoked")


class IDTokenAdmin(EndsSessions):
    is_deletable = False
    list_display = ("jti", "user", "application", "created", "expires")
    list_select_related = _Tokens.list_select_related
    client_fields, user_fields = _Tokens.client_fields, _Tokens.user_fields


class GrantAdmin(ReadOnlyAdmin):
    """Codes of django-oauth-toolkit's own views. Who deletes one ends it."""

    hidden = ("code", "code_challenge", "nonce", "claims")
    list_display = ("pk", "user", "application", "scope", "expires")
    list_select_related = _Tokens.list_select_related
    client_fields, user_fields = _Tokens.client_fields, _Tokens.user_fields


toolkit.replace_access_token_admin(AccessTokenAdmin)
toolkit.replace_refresh_token_admin(RefreshTokenAdmin)
toolkit.replace_id_token_admin(IDTokenAdmin)
toolkit.replace_grant_admin(GrantAdmin)
