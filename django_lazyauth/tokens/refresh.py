"""The row behind a refresh token while it is used: read and locked, then spent.

These statements run in every refresh, so they are compiled once per database. The caller's transaction holds
the lock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connections, router
from django.db.models import F, Model
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.db.transaction import TransactionManagementError
from oauth2_provider.models import get_refresh_token_model

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models.fields import digest
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect
from django_lazyauth.models.prepared_write import (
    PreparedWrite,
    has_plain_save,
    prepare_delete,
    prepare_update,
)

#: A row of the refresh token model in force; DOT publishes no types, and the host may have swapped the model.
RefreshTokenRow = Any

#: What using a refresh token changes in its own row.
SPENT_FIELDS = ("access_token", "revoked", "token_family", "updated")
SPENT_COLUMNS = ("access_token_id", "revoked", "token_family", "updated")


def find(token: str) -> RefreshTokenRow | None:
    """Return the row of *token* with its user and access token, spent or not, of whichever client."""
    return _newest_first(token).select_related("access_token", "user").first()


def _newest_first(checksum_of: str) -> Any:
    # Nothing but chance in the database forbids two rows of one token; the one that still works counts.
    rows = get_refresh_token_model().objects.filter(token_checksum=digest(checksum_of))
    return rows.order_by(F("revoked").desc(nulls_first=True))


def lock(token: str) -> RefreshTokenRow | None:
    """Do the same and lock the row until commit: of two that use a token at once, one waits. One query.

    Raises:
        TransactionManagementError: No transaction is open that could hold the lock.
    """
    using = router.db_for_write(get_refresh_token_model())
    if not connections[using].in_atomic_block:
        raise TransactionManagementError("A refresh token is locked until commit: open a transaction first.")
    return _select(using).get(digest(token))


@cache
def _select(using: str) -> PreparedSelect[Any]:
    of_self = ("self",) if connections[using].features.has_select_for_update_of else ()
    return PreparedSelect(
        get_refresh_token_model()
        .objects.using(using)
        .select_for_update(of=of_self)
        .filter(token_checksum=ASKED_FOR)
        .order_by(F("revoked").desc(nulls_first=True)),
        related=("access_token", "user"),
    )


def is_good(row: RefreshTokenRow, now: datetime) -> bool:
    """Say whether *row* can be used: not spent, its session alive, its user active, neither idle nor too old."""
    return (
        row.revoked is None
        # An orphan: its session ended while it was being written.
        and row.access_token is not None
        and row.user.is_active
        and now < row.created + lazyauth_settings.refresh_token_idle_lifetime
        and is_young(row, now)
    )


def is_young(row: RefreshTokenRow, now: datetime) -> bool:
    """Say whether the family of *row* may still live, used or not."""
    return now < started_at(row) + lazyauth_settings.refresh_token_lifetime


def started_at(row: RefreshTokenRow) -> datetime:
    """Return when the first refresh token of this family was issued.

    A session of ours carries its birth in its id (UUIDv7); a family that DOT began is looked up.
    """
    family = row.token_family
    if family is None:
        return row.created  # type: ignore[no-any-return]  # DOT publishes no types
    if family.version == 7:
        return datetime.fromtimestamp((family.int >> 80) / 1000, tz=UTC)
    first = type(row).objects.using(row._state.db).filter(token_family=family).order_by("created").first()
    began: datetime = row.created if first is None else min(first.created, row.created)
    return began


def family_works(row: RefreshTokenRow) -> bool:
    """Say whether some refresh token of the family of *row* can be used. Asked where they are written."""
    family = type(row).objects.using(row._state.db).filter(token_family=row.token_family)
    return bool(family.filter(revoked__isnull=True, access_token__isnull=False).exists())


def spend(row: RefreshTokenRow, now: datetime) -> bool:
    """Mark the locked *row* as used and delete its access token; ``False`` if somebody was faster.

    Django's own signals are sent as its ``save`` and ``delete`` would.
    """
    access_token, row.access_token, row.revoked, row.updated = row.access_token, None, now, now
    if not _save_spent(row):
        return False
    if access_token is not None:
        _delete(access_token)
    return True


def _save_spent(row: RefreshTokenRow) -> bool:
    model: type[Model] = type(row)
    using = row._state.db
    if not has_plain_save(model):
        row.save(update_fields=SPENT_FIELDS)
        return True
    told: dict[str, Any] = {
        "sender": model,
        "instance": row,
        "raw": False,
        "using": using,
        "update_fields": frozenset(SPENT_FIELDS),
    }
    pre_save.send(**told)
    values = [getattr(row, column) for column in SPENT_COLUMNS]
    if _spend(model, using).run(*values, row.pk) != 1:
        return False
    post_save.send(created=False, **told)
    return True


@cache
def _spend(model: type[Model], using: str) -> PreparedWrite:
    return prepare_update(
        model, using, values=SPENT_COLUMNS, where=(model._meta.pk.attname,), while_null=("revoked",)
    )


def _delete(access_token: Any) -> None:
    model: type[Model] = type(access_token)
    using = access_token._state.db
    if (
        pre_delete.has_listeners(model)
        or post_delete.has_listeners(model)
        or not _only_refresh_tokens_point_to(model)
    ):
        access_token.delete()
    else:
        _delete_by_key(model, using).run(access_token.pk)


@cache
def _delete_by_key(model: type[Model], using: str) -> PreparedWrite:
    return prepare_delete(model, using, where=(model._meta.pk.attname,))


@cache
def _only_refresh_tokens_point_to(model: type[Model]) -> bool:
    """Say whether a row can go without Django looking for what hangs on it: the refresh token let go before."""
    pointing = [
        field
        for field in model._meta.get_fields(include_hidden=True)
        if field.auto_created and not field.concrete and (field.one_to_one or field.one_to_many)
    ]
    return (
        not model._meta.parents
        and model.delete.__module__ == "django.db.models.base"
        and all(field.related_model is get_refresh_token_model() for field in pointing)
        and not any(hasattr(field, "bulk_related_objects") for field in model._meta.private_fields)
    )
