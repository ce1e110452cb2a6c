"""Lists of tables that grow with the site: their first page reads as much of a million rows as of a thousand.

Django's own list counts all rows, sorts by columns without an index, reads a table to offer the values of a filter, and
searches inside of every value. None of that happens here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import BadRequest, FieldDoesNotExist, ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext_lazy as _

from . import rooms

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    RowPaginator = Paginator[Any]
else:  # Django's own classes take no type argument at run time.
    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator

PAGE_PARAMETER = "p"


class LookaheadPaginator(RowPaginator):
    """Counts up to one row beyond the page that is shown. That tells whether there is a next page."""

    def __init__(self, rows: QuerySet[Any], per_page: int, *, page: int) -> None:
        super().__init__(rows, per_page)
        self._begin = (page - 1) * per_page
        self._rows = rows

    @cached_property
    def count(self) -> int:
        end = self._begin + self.per_page + 1
        found = len(self._rows.values_list("pk", flat=True)[self._begin : end])
        return self._begin + found if found or not self._begin else self._rows[: self._begin].count()


class SoundInput(ModelAdmin):
    """Refuses in the address and in forms what Django's admin would pass to the database."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """
        Raises:
            BadRequest: No database can look that up (I18).
        """
        self.require_sound(request)
        return super().changelist_view(request, extra_context)

    def require_sound(self, request: HttpRequest) -> None:
        texts = [
            text for data in (request.GET, request.POST) for _name, values in data.lists() for text in values
        ]
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(key)
        except ValidationError:
            raise BadRequest("A row is named by a key that it cannot have.") from None
        if any("\0" in str(text) for text in texts):
            raise BadRequest("A value holds a character that it cannot hold.")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let a list be filtered by what is shown. By any other column, a secret is guessed letter by letter (I13)."""
        try:
            name = self.opts.get_field(lookup.partition("__")[0]).name
        except FieldDoesNotExist:
            return bool(super().lookup_allowed(lookup, value, request))
        filters = self.get_list_filter(request)
        if lookup in {getattr(one, "parameter_name", "") for one in filters}:
            return True
        shown = {*flatten_fieldsets(self.get_fieldsets(request)), *self.get_list_display(request), *filters}
        is_shown = name in shown or name == self.opts.pk.name
        return is_shown and bool(super().lookup_allowed(lookup, value, request))


class LargeTable(SoundInput):
    """The list of a table that grows. The newest rows come first.

    Attributes:
        uuid_fields: Found by their whole value.
        text_fields: Found by their whole value, too.
        client_fields: Foreign keys to a client, found by its id or a part of its name.
        user_fields: Foreign keys to a user, found by key, user name or e-mail address.
    """

    uuid_fields: tuple[str, ...] = ()
    text_fields: tuple[str, ...] = ()
    client_fields: tuple[str, ...] = ()
    user_fields: tuple[str, ...] = ()

    ordering = ("-pk",)
    sortable_by = ()
    list_per_page = 25
    # "Show all", and "select all" across pages, would need to know how many there are.
    list_max_show_all = 0
    actions_selection_counter = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_paginator(
        self, request: HttpRequest, queryset: QuerySet[Any], per_page: int, *args: Any, **kwargs: Any
    ) -> LookaheadPaginator:
        given = request.GET.get(PAGE_PARAMETER, "")
        page = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 1
        return LookaheadPaginator(queryset, per_page, page=max(page, 1))

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.uuid_fields, *self.text_fields, *self.client_fields, *self.user_fields)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(self._named(term)) if term else queryset), False

    def _named(self, term: str) -> Q:
        """Return the condition for what *term* names. Names of clients are looked at where it names nothing else."""
        try:
            session = UUID(term)
        except ValueError:
            session = None
        people = rooms.people.find_people(term) if self.user_fields else None
        users = people.users if people is not None else ()
        clients = self._clients(term, session, users)
        found = Q(pk__in=[]) if people is None else self._of_people(people)
        for fields, keys in (
            (self.uuid_fields, [] if session is None else [session]),
            (self.text_fields, [term]),
            (self.client_fields, clients),
        ):
            for field in fields if keys else ():
                found |= Q(**{f"{field}__in": keys})
        return found

    def _of_people(self, people: Any) -> Q:
        """Return the condition for the rows of *people*."""
        found = Q(pk__in=[])
        for field in self.user_fields if people.users else ():
            found |= Q(**{f"{field}__in": people.users})
        return found

    def _clients(self, term: str, session: UUID | None, users: Sequence[Any]) -> list[Any]:
        if session is not None or not self.client_fields:
            return []
        return list(rooms.search.find_clients(term, by_name=not users))


class ProviderFilter(admin.SimpleListFilter):
    """Offers the configured providers. Those of SSO domains are found by their name in the address."""

    title = _("provider")
    parameter_name = "provider__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = [provider.name for provider in rooms.registry.configured_providers()]
        given = request.GET.get(self.parameter_name)
        return [(name, name) for name in (*names, *([given] if given and given not in names else []))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


class ConditionFilter(admin.SimpleListFilter):
    """A filter with one condition for each choice."""

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        """Return (value in the address, label, condition)."""
        # Abstract: each filter has its own. Their common base holds only what Django calls.
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label, _condition in self.choices_of_list()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for value, _label, condition in self.choices_of_list():
            if value == self.value():
                return queryset.filter(condition)
        return queryset
