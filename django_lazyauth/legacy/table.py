"""Rows of ``LegacyUpstreamToken``: read, written anew, read back and deleted in one transaction each batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.db import connections
from django.db.models import QuerySet

from django_lazyauth.models import LEGACY_TYPES
from django_lazyauth.vault.tokens import UpstreamTokens

from .names import TypeNames
from .report import Problem
from .source import LegacyRow, Source

COLUMNS = (
    "pk",
    "session_id",
    "provider",
    "user_id",
    "client_id",
    "subject",
    "access_token",
    "refresh_token",
    "id_token",
    "token_type",
    "scope",
    "expires_at",
    "refresh_expires_at",
    "retain_until",
)


class TableSource(Source):
    """The table of earlier versions of this app."""

    name: ClassVar[str] = "table"
    _passed_over = 0

    def names(self, chosen: str | None) -> TypeNames:
        return TypeNames(chosen)

    @property
    def _rows(self) -> QuerySet[Any]:
        return self.models.legacy._default_manager.using(self.models.using)

    @property
    def _waiting(self) -> QuerySet[Any]:
        return self._rows.filter(provider__in=LEGACY_TYPES)

    def total(self) -> int:
        return self._waiting.count()

    def has_rows(self) -> bool:
        return self._waiting.exists()

    def unclaimed(self) -> int:
        return self._passed_over

    def remaining(self) -> int:
        return self._waiting.count()

    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        # By primary key alone: a planner that does not know the table would sort all of it for every page.
        last = self._passed_over = 0
        while page := list(
            self._rows.filter(pk__gt=last).order_by("pk").values_list("pk", "provider")[:size]
        ):
            last = page[-1][0]
            waiting = [pk for pk, provider in page if provider in LEGACY_TYPES]
            self._passed_over += len(page) - len(waiting)
            if waiting:
                yield waiting, len(waiting)

    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        rows = self._rows.filter(pk__in=handles).order_by("pk")
        if lock and connections[self.models.using].features.has_select_for_update:
            # A sign-out that deletes the row waits for us, and then finds the new one: see vault.store.delete.
            rows = rows.select_for_update()
        return [_row(values) for values in rows.values_list(*COLUMNS)]

    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        self._rows.filter(pk__in=[row.handle for row in rows]).delete()
        return []


def _row(values: Sequence[Any]) -> LegacyRow:
    pk, session, provider_id, user_id, client_id, subject, *tokens, retain_until = values
    return LegacyRow(
        key=f"upstream:{session}",
        handle=pk,
        provider_id=provider_id,
        user_id=user_id,
        session=session,
        client_id=client_id,
        subject=subject,
        tokens=UpstreamTokens(*tokens),
        retain_until=retain_until,
    )
