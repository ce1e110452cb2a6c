"""What operators see of clients: one list of those they made, those that registered, and metadata documents.

What a client says about itself is shown escaped and cannot be edited. A secret is shown once, in the answer to the
request that made it, and never stands in a message, a session or a cache.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, URLField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from django_lazyauth.kit.results import Failed, Ready
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.toolkit.admin import CONFIDENTIAL, GRANTS, replace_client_admin

from . import rooms
from .base import ModelAdmin
from .client_form import KEY_FIELDS, POLICY_FIELDS, ClientForm
from .client_list import (
    FETCH,
    ClientActs,
    LastUsedFilter,
    StateFilter,
    VerificationFilter,
    has_keys_uri,
    uses_secret,
)
from .client_words import fetch_in_words, policies_in_words
from .large import LargeTable

BESIDE = clients.REGISTRATION


class ClientAdmin(ClientActs, LargeTable):
    """Every client: made by an operator, registered by itself, or read from a metadata document."""

    form = ClientForm
    change_form_template = "django_lazyauth/admin/client_change.html"
    list_display = (
        "name_or_id",
        "source",
        "hosts",
        "client_type",
        "is_verified",
        "state",
        "last_used_at",
        "created",
    )
    list_filter = ("registration_source", VerificationFilter, LastUsedFilter, StateFilter, "client_type")
    list_select_related = (BESIDE,)
    search_help_text = _("Name, client id, redirect URI or network")
    # DOT's own page of a client, which need not be mounted.
    view_on_site = False
    actions = ("delete_selected",)
    raw_id_fields = ("user",)

    operators_fields = (
        "name",
        "redirect_uris",
        "post_logout_redirect_uris",
        "allowed_origins",
        "client_type",
        "authorization_grant_type",
        "skip_authorization",
        "user",
    )
    shown_fields = (
        "client_id",
        "source",
        "is_verified",
        "state",
        "policies",
        "keys",
        "keys_fetched",
        "last_used_at",
        "created",
        "updated",
    )
    registered_fields = ("network", "metadata")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term or rooms.search.are_few():
            return ModelAdmin.get_search_results(self, request, queryset, search_term)
        return queryset.filter(rooms.search.find_among_many(term)), False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "client_id", "redirect_uris", f"{BESIDE}__network")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        fieldsets: list[Any] = [
            (None, {"fields": (*self.operators_fields, "grant_types", "logo_uri", "backchannel_logout_uri")}),
            (_("Keys instead of a secret"), {"fields": KEY_FIELDS}),
            (_("What is asked of it"), {"fields": POLICY_FIELDS}),
        ]
        if obj is not None and (
            clients.is_self_registered(obj) or not self.has_change_permission(request, obj)
        ):
            # Django shows "None" for a field of the form alone, whatever it holds, to who may only look.
            fieldsets = [(None, {"fields": self.operators_fields})]
        if obj is not None:
            if fields := self.columns_in_use(obj):
                fieldsets.append(("django-oauth-toolkit", {"fields": fields}))
            fieldsets.append((_("What is known of it"), {"fields": self.shown_fields}))
            if clients.is_self_registered(obj):
                fieldsets.append((_("What it says about itself"), {"fields": self.registered_fields}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        known = (*self.shown_fields, *self.registered_fields)
        if obj is not None and clients.is_self_registered(obj):
            return (*self.operators_fields, *self.columns_in_use(obj), *known)
        return known

    def columns_in_use(self, obj: Any) -> tuple[str, ...]:
        """Return the columns for methods and keys that django-oauth-toolkit's next release has, where one is set."""
        names = {field.name for field in self.opts.get_fields()}.intersection(client_methods.COLUMNS)
        is_set = any(getattr(obj, name) for name in names)
        return tuple(name for name in client_methods.COLUMNS if name in names) if is_set else ()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        obj = kwargs.get("obj")
        context["may_fetch_keys"] = obj is not None and has_keys_uri(obj) and request.user.has_perm(FETCH)
        if obj is not None and clients.is_self_registered(obj):
            # Nothing on the page can be edited.
            hidden = ("show_save", "show_save_and_continue", "show_save_and_add_another")
            context.update(dict.fromkeys(hidden, False))
        return super().render_change_form(request, context, *args, **kwargs)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "authorization_grant_type":
            kwargs["choices"] = [choice for choice in db_field.choices if choice[0] in GRANTS]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name.endswith(("_uris", "_origins")):
            kwargs["widget"] = forms.Textarea(attrs={"rows": 3, "cols": 80})
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    # -- columns -------------------------------------------------------------------------------------------

    @admin.display(description=_("client"), ordering="name")
    def name_or_id(self, client: Any) -> str:
        said = "".join(character for character in client.name if unicodedata.category(character)[0] != "C")
        return said or str(client.client_id)

    @admin.display(description=_("source"), ordering="registration_source")
    def source(self, client: Any) -> str:
        registration = clients.registration_of(client)
        text = str(client.get_registration_source_display())
        if registration is not None and registration.initial_access_token_id:
            return f"{text} ({registration.get_source_display()})"
        return text

    @admin.display(description=_("redirects to"))
    def hosts(self, client: Any) -> str:
        return ", ".join(dict.fromkeys(rooms.redirects.host_of(uri) for uri in client.redirect_uris.split()))

    @admin.display(description=_("verified"), boolean=True)
    def is_verified(self, client: Any) -> bool:
        return clients.is_verified(client)

    @admin.display(description=_("state"))
    def state(self, client: Any) -> Any:
        registration = clients.registration_of(client)
        if registration is None:
            return _("works")
        if registration.disabled_at is not None:
            return _("disabled")
        if registration.expires_at is not None:
            return _("unused, until %s") % registration.expires_at.date().isoformat()
        return _("works")

    @admin.display(description=_("keys"))
    def keys(self, client: Any) -> Any:
        """Say which keys the client can prove itself with, or why there are none. Fetches nothing."""
        if not client_methods.keys_uri(client) and client_methods.given_keys(client) is None:
            return "–"
        match rooms.client_keys.known_keys(client):
            case Ready(found):
                text: Any = ngettext("%d key", "%d keys", len(found)) % len(found)
            case Failed(reason):
                text = _("cannot be used: %s") % reason
            case _:
                text = _("not fetched yet")
        return text if client_methods.may_use_key(client) else _("%s, which its method does not use") % text

    @admin.display(description=_("last fetch of its keys"))
    def keys_fetched(self, client: Any) -> Any:
        if not client_methods.keys_uri(client):
            return "–"
        return fetch_in_words(rooms.client_keys.last_fetch(client)) or "–"

    @admin.display(description=_("what holds for it"))
    def policies(self, client: Any) -> str:
        lines = ((line,) for line in policies_in_words(client))
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", lines))

    @admin.display(description=_("last used"), ordering=f"{BESIDE}__last_used_at")
    def last_used_at(self, client: Any) -> Any:
        registration = clients.registration_of(client)
        known = registration.last_used_at if registration is not None else None
        return known or "–"

    @admin.display(description=_("network"))
    def network(self, client: Any) -> str:
        registration = clients.registration_of(client)
        return registration.network if registration is not None else "–"

    @admin.display(description=_("metadata"))
    def metadata(self, client: Any) -> str:
        """Return a stranger's text: escaped, and with control characters as escape sequences of JSON."""
        registration = clients.registration_of(client)
        if registration is None or not registration.metadata:
            return "–"
        return format_html("<pre>{}</pre>", json.dumps(registration.metadata, indent=2, sort_keys=True))

    # -- decisions -----------------------------------------------------------------------------------------

    @admin.action(description=_("Delete with all their tokens"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Stand in for Django's own action, whose name does not say what goes along."""
        return delete_selected(self, request, queryset)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[Any, dict[Any, int], set[Any], list[Any]]:
        """List the clients only. DOT forbids to delete tokens by hand, and tokens are deleted with their client."""
        names = [str(client) for client in objs]
        return names, {self.opts.verbose_name_plural: len(names)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        rooms.operator_actions.delete([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rooms.operator_actions.delete(queryset.values_list("pk", flat=True))

    # -- secrets -------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save an operator's client. One that becomes confidential gets its secret where the secret is shown."""
        if not change or obj.client_type != CONFIDENTIAL or "client_type" in form.changed_data:
            obj.client_secret, obj.hash_client_secret = "", False
        super().save_model(request, obj, form, change)
        rooms.operator_actions.set_metadata(obj, form.metadata())

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if _lacks_secret(obj):
            return self.show_new_secret(request, obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return (
            self.show_new_secret(request, obj)
            if _lacks_secret(obj)
            else super().response_change(request, obj)
        )

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_fetch_keys"
        fetch = self.admin_site.admin_view(require_POST(self.fetch_keys_view))
        return [path("<path:object_id>/fetch-keys/", fetch, name=name), *super().get_urls()]

    def fetch_keys_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Fetch the keys of one client, and show its page again. What was typed there is not saved."""
        client = self.get_object(request, unquote(object_id))
        if client is None or not client_methods.keys_uri(client):
            raise Http404
        if not request.user.has_perm(FETCH):
            raise PermissionDenied
        self.log_change(request, client, "Fetched its keys.")
        if rooms.client_keys.fetch_now(client):
            self.message_user(request, _("Its keys are being fetched."))
        else:
            self.message_user(request, _("Its keys were fetched less than 30 s ago."), messages.WARNING)
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(client.pk)])
        )


def _lacks_secret(client: Any) -> bool:
    """Say whether an operator's confidential client has no secret yet, and needs one."""
    if clients.is_self_registered(client) or client.client_type != CONFIDENTIAL or client.client_secret:
        return False
    stored = clients.load_client(client.client_id)
    return stored is not None and uses_secret(stored)


replace_client_admin(ClientAdmin)
