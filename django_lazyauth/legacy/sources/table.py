"""Rows of ``LegacyUpstreamToken``. Each batch is read, written, read back and deleted in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

from django.db import connections
from django.db.models import QuerySet

from django_lazyauth.legacy.names import TypeNames
from django_lazyauth.legacy.report import Problem
from django_lazyauth.legacy.source import LegacyRow, Source, known
from django_lazyauth.models import LEGACY_TYPES
from django_lazyauth.vault.tokens import UpstreamTokens

COLUMNS: tuple[Any, ...] = (
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
    *(known(name) for name in ("expires_at", "refresh_expires_at", "retain_until")),
)


#: Rows that are counted at most. Anybody may ask the readiness endpoint.
MANY: Final = 10_000


class TableSource(Source):
    """The table of earlier versions of this app."""

    name: ClassVar[str] = "table"
    _skipped = 0

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

    def left(self) -> int:
        """Return how many rows name a provider, up to ``MANY``. No run claims them, and no request reads them."""
        return self._rows.exclude(provider__in=LEGACY_TYPES).order_by()[:MANY].count()

    def unclaimed(self) -> int:
        return self._skipped

    def remaining(self) -> int:
        return self._waiting.count()

    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        # Filtered by primary key alone. Without statistics a planner would sort the whole table for every page.
        last = self._skipped = 0
        while page := list(
            self._rows.filter(pk__gt=last).order_by("pk").values_list("pk", "provider")[:size]
        ):
            last = page[-1][0]
            waiting = [pk for pk, provider in page if provider in LEGACY_TYPES]
            self._skipped += len(page) - len(waiting)
            if waiting:
                yield waiting, len(waiting)

    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        rows = self._rows.filter(pk__in=handles).order_by("pk")
        if lock and connections[self.models.using].features.has_select_for_update:
            # A concurrent sign-out waits for the lock, and then deletes the new row: see `vault.store.delete`.
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
