"""Many sessions end at once, in a fixed number of statements.

What it does is what :func:`.end.end_session` does for each of them, in its order. Where that is not possible (a host
listens to deletions of tokens, or a model of its own points to them; a client refreshes at that moment) the sessions
concerned end one by one.

Not here: which sessions, and who goes on after a crash (``ending_job``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, router, transaction
from django.db.models.functions import Now
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone

from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import LogoutDelivery, PendingAuthorization, SealedSuccessor
from django_lazyauth.tokens import binding, family
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import get_access_token_model, get_refresh_token_model
from django_lazyauth.users.subjects import told_subjects
from django_lazyauth.vault import leave

from . import logout_queue
from .end import end_session

#: Sessions of one transaction. About twenty statements end them.
BATCH: Final = 2500


def end_many(session_ids: Sequence[UUID]) -> int:
    """End these sessions, at most :data:`BATCH`; return how many were alive."""
    if not session_ids:
        return 0
    if not _is_plain():
        return sum(map(end_session, session_ids))
    try:
        ended, still_alive = _end_at_once(list(session_ids))
    except IntegrityError:
        # Two tokens of one checksum (see `revoke_family` of django-oauth-toolkit).
        return sum(map(end_session, session_ids))
    for session_id in still_alive:
        end_session(session_id)
    return ended


def _is_plain() -> bool:
    """Say whether access tokens can go by one statement: nobody but us would be told, and nothing else points there."""
    model = get_access_token_model()
    refresh = get_refresh_token_model()
    others = [
        relation
        for relation in model._meta.related_objects
        if relation.related_model not in (refresh, model) and relation.related_model is not None
    ]
    # Our own receiver is the one of `pre_delete`. Private, as `_raw_delete` is: tests/contracts notices a change.
    receivers = len(pre_delete._live_receivers(model)[0]) - 1 + len(post_delete._live_receivers(model)[0])
    return not others and receivers <= 0


@retries_on_conflict
def _end_at_once(session_ids: list[UUID]) -> tuple[int, list[UUID]]:
    refresh, access = get_refresh_token_model(), get_access_token_model()
    using = router.db_for_write(refresh)
    tokens = refresh.objects.using(using).filter(token_family__in=session_ids)
    with transaction.atomic(using=using):
        alive = list(
            tokens.filter(family.LIVE)
            .order_by("pk")
            .values_list("token_family", "application_id", "user_id", "access_token_id")
        )
        now = timezone.now()
        tokens.filter(revoked__isnull=True).update(revoked=now, updated=now)
        held = {access_pk for *_others, access_pk in alive if access_pk is not None}
        tokens.filter(access_token__isnull=False).update(access_token=None)
        if held:
            rows = access.objects.using(using).filter(pk__in=held)
            rows._raw_delete(using)
        with family.by_us():
            binding.forget_sessions(session_ids)
        SealedSuccessor.objects.using(using).filter(family__in=session_ids).delete()
        leave.delete_of_sessions(session_ids)
        leave.delete_old_of_sessions(session_ids)
        waiting = PendingAuthorization.objects.using(using).filter(is_deferred=True, resumed_at__isnull=True)
        waiting.filter(pk__in=session_ids).update(resumed_at=now)
        ended = {session_id: (application, user) for session_id, application, user, _token in alive}
        _note(ended, using)
        left = list(
            tokens.filter(revoked__isnull=True).order_by().values_list("token_family", flat=True).distinct()
        )
    return len(ended), left


def _note(ended: dict[UUID, tuple[Any, Any]], using: str) -> None:
    """Record which clients must be told. One delivery starts; it finds the others."""
    model = clients.get_client_model()
    named = model._default_manager.filter(pk__in={application for application, _user in ended.values()})
    listening = {
        row.pk: row
        for row in named.select_related(clients.REGISTRATION)
        if clients.backchannel_logout_uri(row)
    }
    told = {
        session_id: (user, listening[application])
        for session_id, (application, user) in ended.items()
        if application in listening
    }
    rows = [
        LogoutDelivery(
            session_id=session_id, client=told[session_id][1], subject=subject, next_attempt_at=Now()
        )
        for session_id, subject in told_subjects(told).items()
    ]
    if rows:
        LogoutDelivery.objects.using(using).bulk_create(rows, ignore_conflicts=True)
        first = str(rows[0].session_id)
        transaction.on_commit(lambda: logout_queue.send(first), using=using, robust=True)
