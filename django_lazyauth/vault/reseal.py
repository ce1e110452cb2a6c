"""Seal everything under the newest vault key, in batches, while the site runs.

A value is replaced only while it is still the one that was read, so a refresh or a sign-in at the same moment
wins. Progress is not recorded: a second run skips what is under the newest key already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db import models, router
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, UpstreamGrant, UpstreamToken

from .cipher import Cipher, Place, get_cipher
from .places import GRANT_COLUMNS, TICKET
from .read import SEALED_COLUMNS

logger = logging.getLogger("django_lazyauth.vault")

#: Rows of one statement. A sign-in that needs a locked row waits for milliseconds.
BATCH_SIZE: Final = 200


@dataclass(frozen=True, slots=True)
class Sealed:
    """A model with sealed columns; ``session`` names the column that they are sealed for, ``owner`` further ones."""

    model: type[models.Model]
    session: str
    columns: tuple[str, ...]
    owner: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.model._meta.verbose_name_plural)

    def place(self, row: dict[str, Any], column: str) -> Place:
        owner = tuple(str(row[name]) for name in self.owner)
        return Place(self.model.__name__, row[self.session], row["provider"], column, owner)


#: Everything that the vault's keys seal.
SEALED: Final = (
    Sealed(UpstreamToken, "session_id", (*SEALED_COLUMNS, TICKET)),
    Sealed(UpstreamGrant, "id", GRANT_COLUMNS, owner=("user_id", "subject")),
    Sealed(DeferredRegistration, "pending_id", ("commit",)),
    Sealed(PendingAuthorization, "session_id", ("private",)),
)


@dataclass(slots=True)
class Resealed:
    """How many rows of one kind were sealed anew, and how many no key opens."""

    kind: str
    count: int = 0
    broken: int = 0


def reseal(
    *, batch_size: int = BATCH_SIZE, watch: Callable[[str, int, int], None] | None = None
) -> Iterator[Resealed]:
    """Seal every value that is under an older key under the newest, and report kind by kind.

    Args:
        watch: Is told after each batch the kind, how many rows were looked at, and how many there were.
    """
    cipher = get_cipher()
    for sealed in SEALED:
        done = Resealed(sealed.kind)
        last: Any = None
        looked, total = 0, sealed.model._default_manager.count() if watch else 0
        while (last := _reseal_batch(sealed, cipher, last, batch_size, done)) is not None:
            looked += batch_size
            if watch:
                watch(done.kind, min(looked, total), total)
        yield done


@sensitive_variables()
def _reseal_batch(sealed: Sealed, cipher: Cipher, after: Any, size: int, done: Resealed) -> Any:
    """Reseal the next rows by primary key; return the last key, ``None`` at the end."""
    using = router.db_for_write(sealed.model)
    rows = sealed.model._default_manager.using(using).order_by("pk")
    page = rows if after is None else rows.filter(pk__gt=after)
    found = list(page.values("pk", "provider", sealed.session, *sealed.owner, *sealed.columns)[:size])
    renewed: list[tuple[dict[str, Any], dict[str, str]]] = []
    for row in found:
        try:
            values = _renewed(sealed, cipher, row)
        except SealBroken:
            done.broken += 1
            logger.warning("a sealed value cannot be opened (%s, provider %s)", done.kind, row["provider"])
            continue
        if values:
            renewed.append((row, values))
    if renewed:
        done.count += _replace(rows.order_by(), renewed)
    return found[-1]["pk"] if found else None


@sensitive_variables()
def _replace(rows: models.QuerySet[Any], renewed: list[tuple[dict[str, Any], dict[str, str]]]) -> int:
    """Replace the values of those rows that still have what was read, in one statement. Return how many had it."""
    text = models.TextField()
    unchanged, cases = models.Q(), dict[str, list[models.When]]()
    for row, values in renewed:
        unchanged |= models.Q(pk=row["pk"], **{column: row[column] for column in values})
        for column, value in values.items():
            then = models.Value(value, output_field=text)
            cases.setdefault(column, []).append(models.When(pk=row["pk"], then=then))
    assigned = {
        column: models.Case(*whens, default=models.F(column), output_field=text)
        for column, whens in cases.items()
    }
    return rows.filter(unchanged).update(**assigned)


@sensitive_variables()
def _renewed(sealed: Sealed, cipher: Cipher, row: dict[str, Any]) -> dict[str, str]:
    return {
        column: cipher.seal(cipher.open(row[column], place), place)
        for column in sealed.columns
        if row[column] and cipher.needs_reseal(row[column])
        for place in (sealed.place(row, column),)
    }
