"""End all sessions of a person, a client or a provider: in batches, by whichever process has time.

The job is a row. A thread begins at once; if its process ends, the next sweep goes on. What could become a session ends
first. A session that begins while the job runs is not the job's: a client is disabled and a provider is switched off
before its sessions are ended.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.db.models import QuerySet

from django_lazyauth.kit.background import Threads
from django_lazyauth.kit.retry import retries_on_conflict, retry_on_conflict
from django_lazyauth.models import Ending, EndingJob, PendingAuthorization, Status
from django_lazyauth.tokens import family
from django_lazyauth.toolkit.models import get_refresh_token_model

from . import flows
from .many import BATCH, end_many

#: So many sessions end before the operator's page is answered.
AT_ONCE: Final = 100
_threads = Threads("ending", threads=1, queue=10, daemon=True)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose sessions end.

    Attributes:
        key: Primary key of a person or client as a text, or name of a provider.
        label: For people.
    """

    kind: Ending
    key: str
    label: str


def count(target: Target) -> int:
    """Return how many sessions live now."""
    if target.kind == Ending.PROVIDER:
        return family.with_live_tokens(_of_provider(target.key)).count()
    return _tokens(target.kind, target.key).order_by().values("token_family").distinct().count()


def start(target: Target, *, user: AbstractBaseUser | None, reason: str = "") -> EndingJob:
    """Write the job, end what could become a session, and begin.

    Few sessions have ended when it returns. For many it returns at once, and a thread ends them.
    """
    job = _begin(target, user, reason)
    if job.found <= AT_ONCE:
        run(job.pk)
        job.refresh_from_db()
    return job


@retries_on_conflict
def _begin(target: Target, user: AbstractBaseUser | None, reason: str) -> EndingJob:
    using = router.db_for_write(EndingJob)
    with transaction.atomic(using=using):
        job = EndingJob.objects.using(using).create(
            kind=target.kind,
            target=target.key,
            label=target.label[:255],
            found=count(target),
            reason=reason[:255],
            started_by=user,  # type: ignore[misc]  # the host's user model
        )
        flows.end_flows(_flows(target))
        if job.found > AT_ONCE:
            transaction.on_commit(partial(_submit, job.pk), using=using, robust=True)
    return job


def _submit(pk: Any) -> None:
    _threads.submit(partial(run, pk))


def run(pk: Any) -> bool:
    """Work on a job until it is finished; ``False`` where another process does."""
    lease = secrets.token_hex(16)
    if not EndingJob.objects.claim(pk, lease):
        return False
    job = EndingJob.objects.get(pk=pk)
    cursor = job.cursor
    while batch := _next(Ending(job.kind), job.target, cursor):
        cursor = batch[-1][0]
        ended = end_many(list(dict.fromkeys(session_id for _key, session_id in batch)))
        if not EndingJob.objects.advance(pk, lease, cursor=cursor, ended=ended):
            return False
    if job.kind == Ending.PERSON:
        user_pk = get_user_model()._meta.pk.to_python(job.target)
        retry_on_conflict(partial(family.revoke_loose, user_pk))
    EndingJob.objects.finish(pk, lease)
    return True


def run_unfinished() -> int:
    """Go on with jobs whose process ended; return how many were finished. For the sweep."""
    waiting = list(EndingJob.objects.unfinished().order_by("pk").values_list("pk", flat=True))
    return sum(map(run, waiting))


def _next(kind: Ending, target: str, cursor: str) -> list[tuple[str, UUID]]:
    """Return the next rows after *cursor*: the key of each as a text, and its session."""
    if kind == Ending.PROVIDER:
        rows: Any = _of_provider(target)
        beyond = rows.filter(pk__gt=UUID(cursor)) if cursor else rows
        return [(str(pk), pk) for pk in beyond.order_by("pk").values_list("pk", flat=True)[:BATCH]]
    tokens = _tokens(kind, target)
    beyond = tokens.filter(pk__gt=tokens.model._meta.pk.to_python(cursor)) if cursor else tokens
    found = beyond.order_by("pk").values_list("pk", "token_family")[:BATCH]
    return [(str(pk), session_id) for pk, session_id in found]


def _tokens(kind: Ending, target: str) -> QuerySet[Any]:
    model = get_refresh_token_model()
    rows: QuerySet[Any] = model.objects.using(router.db_for_write(model)).filter(
        revoked__isnull=True, token_family__isnull=False
    )
    return rows.filter(application_id=target) if kind == Ending.CLIENT else rows.filter(user_id=target)


def _of_provider(name: str) -> QuerySet[PendingAuthorization]:
    rows = PendingAuthorization.objects.using(flows.database())
    return rows.filter(provider=name, status=Status.EXCHANGED)


def _flows(target: Target) -> Any:
    if target.kind == Ending.PERSON:
        return flows.of_user(target.key)
    if target.kind == Ending.CLIENT:
        return flows.of_clients([target.key])
    return flows.open_flows().filter(provider=target.key)
