"""Copy each identity under a protocol's name to the provider's name, so that the person stays the same user (I5).

The old identity stays until ``--prune``, for code of earlier versions. An identity of another user is never taken, and
one of another issuer belongs to somebody else (I19).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from django_lazyauth.models import LEGACY_TYPES
from django_lazyauth.providers.base import Identity
from django_lazyauth.providers.registry import upstream_types

from .insert_absent import insert_absent
from .names import TypeNames, Unmapped, issuer_differs
from .report import Problem, Reason, Report
from .source import Models

UNIQUE = ("provider", "subject")
COPIED = ("user_id", "subject", "issuer", "email", "email_verified", "name", "sso_domain", "sso_name")


def key_of(pk: Any) -> str:
    """Return the key of an identity. The report shows only its digest."""
    return f"identity:{pk}"


def link_all(
    identities: Sequence[tuple[Identity, Any]], *, models: Models
) -> dict[tuple[str, str], tuple[Any, bool]]:
    """Insert missing identities with their users, in the caller's transaction.

    Returns:
        (provider, subject) → the user it belongs to now, and whether it is new.
    """
    known = owners([identity for identity, _ in identities], models)
    rows = [
        {
            "provider": identity.provider,
            "subject": identity.subject,
            "user_id": user_id,
            "issuer": identity.issuer,
            "email": identity.email,
            "email_verified": identity.email_verified,
            "name": identity.name,
            "sso_domain": identity.sso_domain,
            "sso_name": identity.sso_name,
        }
        for identity, user_id in identities
        if (identity.provider, identity.subject) not in known
    ]
    insert_absent(models.identity, rows, unique=UNIQUE, using=models.using)
    if not rows:
        return {key: (owner, False) for key, owner in known.items()}
    found = owners([identity for identity, _ in identities], models)
    return {key: (owner, key not in known) for key, owner in found.items()}


def owners(identities: Sequence[Identity], models: Models) -> dict[tuple[str, str], Any]:
    """Return the owner of each of *identities* that exists."""
    by_provider: dict[str, set[str]] = {}
    for identity in identities:
        by_provider.setdefault(identity.provider, set()).add(identity.subject)
    rows = models.identity._default_manager.using(models.using)
    return {
        (provider, subject): user_id
        for provider, subjects in by_provider.items()
        for subject, user_id in rows.filter(provider=provider, subject__in=subjects).values_list(
            "subject", "user_id"
        )
    }


# -- identities under the name of a protocol -----------------------------------------------------------------


def are_waiting(models: Models) -> bool:
    """Say whether an identity under a protocol's name has no copy under any provider of that protocol."""
    types = upstream_types()
    for kind in filter(None, LEGACY_TYPES):
        names = [name for name, its in types.items() if its == kind]
        if kind in types or not names:
            continue
        copy = _rows(models, provider__in=names, subject=OuterRef("subject"))
        if _rows(models, provider=kind).filter(~Exists(copy)).exists():
            return True
    return False


def copy_all(
    names: TypeNames,
    models: Models,
    report: Report,
    *,
    size: int,
    limit: int | None,
    dry_run: bool,
    renew: Callable[[], None],
) -> None:
    """Copy every identity under a protocol's name, batch by batch. *renew* is called before each batch."""
    for kind in filter(None, LEGACY_TYPES):
        try:
            name = names.name_of(kind)
        except Unmapped as error:
            _fail_all(_rows(models, provider=kind), error.reason, report, size)
            continue
        if name in (None, kind):
            continue
        _report_existing(kind, str(name), models, report, size)
        for page in _pages(_without_copy(kind, str(name), models), size, limit):
            renew()
            _copy(page, str(name), models, report, dry_run=dry_run)


def _rows(models: Models, **where: Any) -> QuerySet[Any]:
    return models.identity._default_manager.using(models.using).filter(**where)


def _without_copy(kind: str, name: str, models: Models) -> QuerySet[Any]:
    copy = _rows(models, provider=name, subject=OuterRef("subject"))
    return _rows(models, provider=kind).filter(~Exists(copy))


def _with_copy(kind: str, name: str, models: Models, *, same_user: bool) -> QuerySet[Any]:
    copy = _rows(models, provider=name, subject=OuterRef("subject"))
    of_user = copy.filter(user_id=OuterRef("user_id"))
    rows = _rows(models, provider=kind).filter(Exists(copy))
    return rows.filter(Exists(of_user)) if same_user else rows.filter(~Exists(of_user))


def _report_existing(kind: str, name: str, models: Models, report: Report, size: int) -> None:
    report.identities.existed += _with_copy(kind, name, models, same_user=True).count()
    others = _with_copy(kind, name, models, same_user=False)
    _fail_all(others, Reason.IDENTITY_OF_ANOTHER, report, size)


def _fail_all(rows: QuerySet[Any], reason: Reason, report: Report, size: int) -> None:
    # Page by page: a cursor of the server would not survive PgBouncer's transaction mode.
    for page in _pages(rows, size):
        for row in page:
            report.fail(Problem.of(key_of(row["pk"]), reason))


def _pages(rows: QuerySet[Any], size: int, limit: int | None = None) -> Iterator[Sequence[Mapping[str, Any]]]:
    last, left = 0, limit
    while left is None or left > 0:
        step = size if left is None else min(size, left)
        page = list(rows.filter(pk__gt=last).order_by("pk").values("pk", *COPIED)[:step])
        if not page:
            return
        last = page[-1]["pk"]
        if left is not None:
            left -= len(page)
        yield page


def _copy(
    page: Sequence[Mapping[str, Any]], name: str, models: Models, report: Report, *, dry_run: bool
) -> None:
    ours = []
    for row in page:
        if issuer_differs(name, row["issuer"]):
            report.fail(Problem.of(key_of(row["pk"]), Reason.ISSUER_DIFFERS))
        else:
            ours.append(row)
    if dry_run:
        report.identities.added += len(ours)
        return
    people = [
        (
            Identity(provider=name, **{k: v for k, v in row.items() if k not in ("pk", "user_id")}),
            row["user_id"],
        )
        for row in ours
    ]
    with transaction.atomic(using=models.using):
        linked = link_all(people, models=models)
    for row in ours:
        owner, is_new = linked.get((name, row["subject"]), (None, False))
        if owner == row["user_id"]:
            report.identities.added += is_new
            report.identities.existed += not is_new
        else:
            reason = Reason.NOT_READ_BACK if owner is None else Reason.IDENTITY_OF_ANOTHER
            report.fail(Problem.of(key_of(row["pk"]), reason))


def prune(
    names: TypeNames,
    models: Models,
    report: Report,
    *,
    size: int,
    dry_run: bool,
    renew: Callable[[], None],
) -> None:
    """Delete identities under a protocol's name whose copy belongs to the same user.

    The copy of a default account becomes the default account.
    """
    for kind, name in names.renamed_types().items():
        settled = _with_copy(kind, name, models, same_user=True)
        if dry_run:
            report.identities.pruned += settled.count()
            continue
        while page := list(settled.order_by("pk").values_list("pk", "subject", "is_default")[:size]):
            renew()
            with transaction.atomic(using=models.using):
                _rows(models, pk__in=[pk for pk, _, _ in page]).delete()
                chosen = [subject for _, subject, is_default in page if is_default]
                _rows(models, provider=name, subject__in=chosen).update(is_default=True)
            report.identities.pruned += len(page)
