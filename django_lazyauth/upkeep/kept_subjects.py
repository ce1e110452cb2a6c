"""Write down what clients call people today, before ``SUBJECT_TYPE`` changes: they go on calling them that.

Who has a subject of the new type keeps it, so a run may be stopped, and be repeated until nobody is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import router, transaction

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import Consent, PendingAuthorization, Status, SubjectIdentifier
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import get_access_token_model, get_refresh_token_model
from django_lazyauth.users.subjects import sector_of

#: People of one transaction.
BATCH_SIZE: Final = 500


class CannotKeep(LazyAuthError):
    """People have no subject, or several, that the new type could have."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one run did, or would do.

    Attributes:
        people: Users that were looked at.
        written: Subjects that were missing.
    """

    people: int
    written: int


def keep_subjects(
    before: str,
    after: str,
    *,
    batch_size: int = BATCH_SIZE,
    is_dry: bool = False,
    watch: Callable[[int, int], None] | None = None,
) -> Kept:
    """Write what each client that knows a person calls them under *before*, as their subject under *after*.

    Args:
        watch: Is told after each transaction how many people were looked at, of how many.

    Raises:
        CannotKeep: Nobody's subject can stay the same.
    """
    if before == after or after == "public" or before == "pairwise":
        raise CannotKeep(f"subjects of the type {before} cannot be kept as {after}")
    users = get_user_model()._base_manager.using(_database()).order_by("pk").values_list("pk", flat=True)
    people, written, total = 0, 0, users.count()
    rest = users
    while batch := list(rest[:batch_size]):
        written += _keep(batch, before, after, is_dry=is_dry)
        people += len(batch)
        rest = users.filter(pk__gt=batch[-1])
        if watch:
            watch(people, total)
    return Kept(people, written)


def _database() -> str:
    return router.db_for_write(SubjectIdentifier)


@retries_on_conflict
def _keep(user_pks: list[Any], before: str, after: str, *, is_dry: bool) -> int:
    """Write what is missing of some people, in one transaction, and return how many subjects that were."""
    rows = SubjectIdentifier.objects.using(_database())
    with transaction.atomic(using=_database()):
        there = dict[Any, dict[str, str]]()
        for user_pk, sector, subject in rows.filter(user_id__in=user_pks).values_list(
            "user_id", "sector", "subject"
        ):
            there.setdefault(user_pk, {})[sector] = subject
        missing = []
        for user_pk, sector in sorted(_known_at(user_pks, after), key=str):
            known = there.get(user_pk, {})
            # An opaque subject that nobody was told yet need not stay.
            subject = str(user_pk) if before == "public" else known.get(sector_of(None, before), "")
            if sector not in known and subject:
                missing.append(SubjectIdentifier(user_id=user_pk, sector=sector, subject=subject))
        if not is_dry:
            rows.bulk_create(missing, ignore_conflicts=True)
    return len(missing)


def _known_at(user_pks: list[Any], subject_type: str) -> set[tuple[Any, str]]:
    """Return the sectors that know these people: those of clients that have, or had, a consent or a token."""
    pairs = set(_pairs(user_pks))
    rows = clients.get_client_model()._default_manager.using(_database()).select_related(clients.REGISTRATION)
    sectors = {
        row.pk: sector_of(row, subject_type)
        for row in rows.filter(pk__in={client_pk for _user, client_pk in pairs})
    }
    return {(user_pk, sectors[client_pk]) for user_pk, client_pk in pairs if client_pk in sectors}


def _pairs(user_pks: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each of these people with each client that they have, or had, tokens of. A pair may come twice."""
    begun = PendingAuthorization.objects.filter(status=Status.EXCHANGED)
    for rows, client in (
        (Consent.objects.all(), "client_id"),
        (begun, "client_id"),
        (get_refresh_token_model().objects.all(), "application_id"),
        (get_access_token_model().objects.all(), "application_id"),
    ):
        of_them = rows.using(_database()).filter(user_id__in=user_pks)
        yield from of_them.order_by().values_list("user_id", client).distinct()
