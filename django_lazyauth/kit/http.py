"""What every endpoint needs: the credentials of an ``Authorization`` header, parameters, no transaction around it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from django.db import connections, transaction
from django.http import HttpRequest, QueryDict

from .observe import log_context

View = TypeVar("View", bound=Callable[..., Any])


class MalformedCredentials(ValueError):
    """The header names the Basic scheme, and its credentials cannot be read."""


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """The two parts of a Basic header as they were sent (RFC 7617 §2). Nothing is percent-decoded."""

    user_id: str
    password: str = field(repr=False)


def parse_basic(header: str) -> BasicCredentials | None:
    """Return the credentials of a Basic header, or ``None`` for another scheme or an empty *header*.

    Raises:
        MalformedCredentials: The credentials are not base64 of UTF-8, or have no colon.
    """
    encoded = _credentials(header, "basic")
    if encoded is None:
        return None
    try:
        user_id, colon, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        raise MalformedCredentials("not base64 of UTF-8") from None
    if not colon:
        raise MalformedCredentials("no colon")
    return BasicCredentials(user_id, password)


def parse_bearer(header: str) -> str | None:
    """Return the token of a Bearer header (RFC 6750 §2.1), or ``None`` for another scheme or an empty *header*.

    The token is empty where the scheme stands alone. Its length and characters are the caller's to check.
    """
    return _credentials(header, "bearer")


def parse_dpop(header: str) -> str | None:
    """Return the token of a DPoP header (RFC 9449 §7.1), under the same rules."""
    return _credentials(header, "dpop")


def _credentials(header: str, scheme: str) -> str | None:
    """Return what follows *scheme*. The case of a scheme does not matter (RFC 9110 §11.1)."""
    named, _, credentials = header.partition(" ")
    return credentials.strip(" ") if named.lower() == scheme else None


def without_empty(given: QueryDict) -> QueryDict:
    """Return *given* without values that are empty: a parameter without a value is an omitted one.

    Every endpoint reads its parameters through this function, before it asks how often one stands there.
    """
    if all(value for _, values in given.lists() for value in values):
        return given
    kept = QueryDict(mutable=True)
    for name, values in given.lists():
        if filled := [value for value in values if value]:
            kept.setlist(name, filled)
    return kept


def outside_transactions(view: View) -> View:
    """Exempt *view* from ``ATOMIC_REQUESTS`` of every database: a router may keep our rows in any of them.

    The rooms open their own transactions. Between them, a view may talk to an upstream. Lines that it logs have the id
    of the request.
    """
    named: View = _named_in_the_log(view)
    for alias in connections:
        named = transaction.non_atomic_requests(alias)(named)
    return named


def _named_in_the_log(view: Callable[..., Any]) -> Any:
    # Django and its middleware read marks from the view, which are copied with its name.
    @wraps(view)
    def named(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with log_context.of_request(request):
            return view(request, *args, **kwargs)

    return named
