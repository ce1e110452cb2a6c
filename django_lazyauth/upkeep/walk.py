"""Look through a table that has no index on what expires: a part of it in each run.

A run begins where the last one stopped. It looks at some rows, and at more while a tenth of them has expired. So the
cost of a run does not grow with the table, a backlog is worked off at once, and at most about a tenth of a large table
waits for a later run. A small table is looked through whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import router, transaction
from django.db.models import Model, QuerySet

from django_lazyauth.models import SweepPosition
from django_lazyauth.tokens.writes import Upsert, Writes

#: Rows that one run looks at in a table where nothing has expired.
PATIENCE: Final = 1000
#: A run goes on while at least one in so many rows has expired.
WORTHWHILE: Final = 10
#: The next page is so many times as large where most rows have expired, and in a run that goes on because of them.
#: Nobody else wants rows that have expired, and each page costs a commit.
GROWTH: Final = 4
LARGEST_PAGE: Final = 5000


@dataclass(frozen=True, slots=True)
class Page:
    """The rows with primary keys in (after, last]. ``None`` as a bound is none."""

    rows: QuerySet[Any]
    after: Any
    last: Any

    @property
    def within(self) -> QuerySet[Any]:
        rows = self.rows if self.after is None else self.rows.filter(pk__gt=self.after)
        return rows if self.last is None else rows.filter(pk__lte=self.last)


def walk(model: type[Model], handle: Callable[[Page], int], *, size: int, patience: int = PATIENCE) -> int:
    """Call *handle* with page after page of *model*, and return the sum of what it returns.

    Args:
        handle: Deletes what has expired of a page, in a transaction of the page, and returns how many rows that were.
        size: Rows of one page, where few of them have expired.
        patience: Rows to look at where nothing has expired. At least one page is looked at.
    """
    using = router.db_for_write(model)
    rows = model._default_manager.using(using)
    table = model._meta.db_table
    start = after = _position(model, table)
    looked, handled, wrapped, in_page = 0, 0, start is None, size
    while True:
        page = _page(rows, after, in_page)
        with transaction.atomic(using=using):
            found = handle(page)
        handled += found
        looked += in_page
        after = page.last
        goes_on = found > in_page // 2 or looked >= patience
        in_page = max(size, min(GROWTH * in_page, LARGEST_PAGE)) if goes_on else size
        if wrapped and (after is None or (start is not None and after >= start)):
            break
        wrapped = wrapped or after is None
        if looked >= patience + WORTHWHILE * handled:
            break
    _keep_position(table, after)
    return handled


def _page(rows: QuerySet[Any], after: Any, size: int) -> Page:
    beyond = rows if after is None else rows.filter(pk__gt=after)
    ends = list(beyond.order_by("pk").values_list("pk", flat=True)[size - 1 : size])
    return Page(rows, after, ends[0] if ends else None)


def _position(model: type[Model], table: str) -> Any:
    kept = SweepPosition.objects.filter(table=table).values_list("after", flat=True).first()
    return None if kept is None else model._meta.pk.to_python(kept)


def _keep_position(table: str, after: Any) -> None:
    if after is None:
        SweepPosition.objects.filter(table=table).delete()
    else:
        Writes((Upsert(SweepPosition(table=table, after=str(after)), ("table",), ("after",)),)).run()
