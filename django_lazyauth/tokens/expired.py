"""Which of DOT's token rows nobody can use any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.toolkit.models import get_access_token_model, get_id_token_model, get_refresh_token_model


@dataclass(frozen=True, slots=True)
class ExpiredTokens:
    """Rows of one of DOT's tables to delete. These tables have no index on what expires.

    Attributes:
        model: DOT's model.
        condition: On the row's own columns.
        holders: Returns, for the rows with primary keys in (after, last], the keys of those that another row still
            needs. ``None`` as a bound is none. It is one range of an index; PostgreSQL would join the whole table.
            ``None`` where no row needs another.
    """

    model: Any
    condition: Q
    holders: Callable[[Any, Any], QuerySet[Any]] | None = None


def expired_tokens(now: datetime) -> list[ExpiredTokens]:
    """Return what to delete, in this order.

    A spent refresh token stays as long as its family may live: its replay must be recognised. No refresh token goes
    before its access token has expired: the end of the session finds the access token by it (I11). An access token
    stays while a live refresh token hangs on it. An ID token goes last: deleting it would take its access
    token along.
    """
    access_lifetime = lazyauth_settings.longest_access_token
    idle_since = now - max(lazyauth_settings.refresh_token_idle_lifetime, access_lifetime)
    old_since = now - max(lazyauth_settings.refresh_token_lifetime, access_lifetime)
    old = Q(created__lt=old_since) | Q(revoked__isnull=True, created__lt=idle_since)
    expired = Q(expires__lt=now)
    return [
        ExpiredTokens(get_refresh_token_model(), old),
        ExpiredTokens(get_access_token_model(), expired, _access_tokens_in_use),
        ExpiredTokens(get_id_token_model(), expired, _id_tokens_in_use),
    ]


def _access_tokens_in_use(after: Any, last: Any) -> QuerySet[Any]:
    live = get_refresh_token_model().objects.filter(revoked__isnull=True)
    return _between(live, "access_token_id", after, last)


def _id_tokens_in_use(after: Any, last: Any) -> QuerySet[Any]:
    return _between(get_access_token_model().objects.all(), "id_token_id", after, last)


def _between(rows: QuerySet[Any], column: str, after: Any, last: Any) -> QuerySet[Any]:
    bounds = {f"{column}__isnull": False}
    if after is not None:
        bounds[f"{column}__gt"] = after
    if last is not None:
        bounds[f"{column}__lte"] = last
    return rows.filter(**bounds).order_by().values_list(column, flat=True)
