"""What operators see of tokens, ours and those of upstreams: no value of any, and an end of sessions.

The lists of ours stand in the place of django-oauth-toolkit's.

A token is not deleted by itself: its session would go on in part. It goes with its person or client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.toolkit import admin as toolkit

from . import rooms
from .acts import Act, Done, ended, entries
from .base import END_ALL_OF_PERSON, EndsSessions, ReadOnlyAdmin
from .large import ProviderFilter


class _Tokens(EndsSessions):
    is_deletable = False
    list_select_related = ("application", "user")
    client_fields, user_fields = ("application",), ("user",)

    def acts(self) -> Sequence[Act]:
        return (REVOKE, END_ALL_OF_PERSON)


def _revoke(request: HttpRequest, rows: list[Any], why: str) -> Done:
    count = sum(map(rooms.revoked.revoke, rows))
    return Done(entries(rows, "Revoked."), ended(count), messages.WARNING)


REVOKE: Final = Act(
    "revoke_tokens",
    _("Revoke: end the sessions of these tokens"),
    _("The applications lose their access at once, and are told where they want to hear of it."),
    "lazyauth.end_clientsession",
    _revoke,
)


class AccessTokenAdmin(_Tokens):
    hidden = ("token", "token_checksum")
    list_display = ("user", "application", "scope", "created", "expires", "pk")


class RefreshTokenAdmin(_Tokens):
    hidden = ("token", "token_checksum")
    list_display = ("user", "application", "created", "revoked", "token_family", "pk")


class IDTokenAdmin(EndsSessions):
    is_deletable = False
    list_display = ("user", "application", "created", "expires", "jti")
    list_select_related = _Tokens.list_select_related
    client_fields, user_fields = _Tokens.client_fields, _Tokens.user_fields


class GrantAdmin(ReadOnlyAdmin):
    """Codes of django-oauth-toolkit's own views. Who deletes one ends it."""

    hidden = ("code", "code_challenge", "nonce", "claims")
    list_display = ("user", "application", "scope", "expires", "pk")
    list_select_related = _Tokens.list_select_related
    client_fields, user_fields = _Tokens.client_fields, _Tokens.user_fields


class PushedRequestAdmin(ReadOnlyAdmin):
    """Requests at django-oauth-toolkit's own endpoint for them. Who deletes one ends it."""

    hidden = ("request_uri", "parameters")
    list_display = ("client_id", "created", "expires", "pk")
    text_fields = ("client_id",)


toolkit.replace_access_token_admin(AccessTokenAdmin)
toolkit.replace_refresh_token_admin(RefreshTokenAdmin)
toolkit.replace_id_token_admin(IDTokenAdmin)
toolkit.replace_grant_admin(GrantAdmin)
toolkit.replace_pushed_request_admin(PushedRequestAdmin)


# -- at upstreams ----------------------------------------------------------------------------------------------


@admin.register(UpstreamToken)
class UpstreamTokenAdmin(ReadOnlyAdmin):
    hidden = ("ticket", "access_token", "refresh_token", "id_token", "lease")
    list_display = ("user", "provider", "client", "grant", "updated_at", "session_id")
    list_filter = (ProviderFilter,)
    list_select_related = ("user", "client", "grant")
    uuid_fields, client_fields, user_fields = ("session_id",), ("client",), ("user",)


class NotLiveAtFilter(ProviderFilter):
    """Of grants that are not live. Those that are live are as many as there are sessions."""

    title = _("provider, of what is not live")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value()
        return queryset.filter(~Q(state=GrantState.LIVE), provider=name) if name else queryset


@admin.register(UpstreamGrant)
class UpstreamGrantAdmin(ReadOnlyAdmin):
    """What sessions live on. A grant ends with the last of them, not by its deletion."""

    is_deletable = False
    hidden = ("access_token", "refresh_token", "lease")
    list_display = (
        "user",
        "provider",
        "subject",
        "is_standing",
        "state",
        "expires_at",
        "version",
        "updated_at",
        "id",
    )
    list_filter = (NotLiveAtFilter, "state")
    list_select_related = ("user",)
    uuid_fields, user_fields = ("id",), ("user",)
