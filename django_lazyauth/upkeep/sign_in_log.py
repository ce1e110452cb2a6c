"""How long the rows of ended sign-ins stay, and how many of them: the log that operators read.

A row that ended moves to a shelf. Each shelf has a number of slots, and the oldest row of the shelf goes when they are
used up. Rows of nobody have a shelf of their own, and one person gets a part of theirs only. So whoever begins sign-ins
by the thousand pushes out nobody's row but those of strangers (I16).

Not here: what a row says (``models/sign_in_log``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import PendingAuthorization, Reason, Status
from django_lazyauth.models.authorization import OPEN

#: Rows of one shelf.
SIZE: Final = 10_000
#: Rows of one person on a shelf of people.
OF_ONE_PERSON: Final = 50
#: First slot of each shelf: failed sign-ins of nobody, those of people, ended sessions, refused requests.
STRANGERS, PEOPLE, SESSIONS, REFUSALS = (number * 1_000_000 for number in range(4))

_READ: Final = ("pk", "status", "reason", "provider", "user_id", "said_subject", "expires_at")
_WRITTEN: Final = (
    "status",
    "reason",
    "state_digest",
    "private",
    "log_slot",
    "expires_at",
    "updated_at",
)


def keep(session_ids: Iterable[UUID], *, now: datetime | None = None) -> list[UUID]:
    """Keep these ended requests in the log, and return the keys of those that find no place and may be deleted.

    The caller holds the rows in a transaction, and has dropped what they deferred.
    """
    now = now or timezone.now()
    if not lazyauth_settings.sign_in_log_retention:
        return list(session_ids)
    rows = PendingAuthorization.objects.using(_database())
    # UUIDv7: the newest first.
    found = list(rows.filter(pk__in=list(session_ids), log_slot__isnull=True).order_by("-pk").only(*_READ))
    left_over: list[UUID] = []
    kept: list[PendingAuthorization] = []
    for shelf in (STRANGERS, PEOPLE, SESSIONS):
        members = _few_of_each([row for row in found if _shelf_of(row) == shelf], shelf)
        places = _free_places(shelf, len(members))
        for row, slot in zip(members, places, strict=False):
            _end(row, slot, now)
            kept.append(row)
    rows.bulk_update(kept, _WRITTEN)
    known = {row.pk for row in kept}
    left_over.extend(row.pk for row in found if row.pk not in known)
    return left_over


def _database() -> str:
    return router.db_for_write(PendingAuthorization)


def _shelf_of(row: PendingAuthorization) -> int:
    if row.status == Status.EXCHANGED:
        return SESSIONS
    return PEOPLE if _person_of(row) else STRANGERS


def _person_of(row: PendingAuthorization) -> Any:
    """Return what tells people apart whom this site or a provider knows; ``None`` for nobody."""
    if row.user_id is not None:
        return row.user_id
    return (row.provider, row.said_subject) if row.said_subject else None


def _few_of_each(rows: list[PendingAuthorization], shelf: int) -> list[PendingAuthorization]:
    """Keep the newest rows of each person, as many as they may have, with those that they have on the shelf."""
    if shelf == STRANGERS:
        return rows[:SIZE]
    counts = _counts_of({_person_of(row) for row in rows}, shelf)
    chosen = []
    for row in rows:
        person = _person_of(row)
        if counts[person] < OF_ONE_PERSON:
            counts[person] += 1
            chosen.append(row)
    return chosen[:SIZE]


def _counts_of(people: set[Any], shelf: int) -> Counter[Any]:
    if not people:
        return Counter()
    on_shelf = PendingAuthorization.objects.using(_database()).filter(
        log_slot__range=(shelf, shelf + SIZE - 1)
    )
    found = on_shelf.values_list("user_id", "provider", "said_subject")
    counted = Counter(
        user_id if user_id is not None else (provider, subject) for user_id, provider, subject in found
    )
    return Counter({person: counted[person] for person in people})


def _free_places(shelf: int, wanted: int) -> list[int]:
    """Return *wanted* slots of a shelf. The rows that are there longest make room."""
    if not wanted:
        return []
    rows = PendingAuthorization.objects.using(_database())
    on_shelf = rows.filter(log_slot__range=(shelf, shelf + SIZE - 1))
    taken = list(on_shelf.order_by("expires_at").values_list("log_slot", flat=True))
    used = set(taken)
    free = [slot for slot in range(shelf, shelf + SIZE) if slot not in used][:wanted]
    leaving = [slot for slot in taken if slot is not None][: wanted - len(free)]
    if leaving:
        rows.filter(log_slot__in=leaving).delete()
    return [*free, *leaving]


def _end(row: PendingAuthorization, slot: int, now: datetime) -> None:
    if row.status in OPEN:
        row.status, row.reason = Status.FAILED, row.reason or Reason.NOT_FINISHED
    row.state_digest, row.private = None, ""
    row.log_slot = slot
    row.expires_at = now + lazyauth_settings.sign_in_log_retention
    row.updated_at = now
