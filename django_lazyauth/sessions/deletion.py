"""A person or a client is deleted, by any code of the site: first their sessions end, then the rows go.

Django collects the rows to delete before it opens the transaction. An exchange or refresh that commits in between adds
rows that the deletion does not know, and the database refuses it. So what could add rows ends first, then the row is
locked: nobody can commit a row that points to it any more. Who tries finds, in the next attempt, that it is gone
(``kit/retry.py``).

The row is locked last. An exchange locks its own row first and the person's or client's when it commits.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, Final

from django.db import DatabaseError, connections, transaction
from django.db.models import Exists, Model, Q, QuerySet
from django.utils import timezone

from django_lazyauth.kit.retry import is_conflict
from django_lazyauth.models import (
    ClientRegistration,
    Consent,
    DeviceAuthorization,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    SubjectIdentifier,
    UpstreamToken,
)
from django_lazyauth.tokens import binding, family
from django_lazyauth.toolkit.models import (
    get_access_token_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)
from django_lazyauth.vault import leave

from . import flows
from .end import end_all_sessions

#: How often what is open ends before the last attempt, which waits for whoever is still at work.
ATTEMPTS: Final = 10


class _StillOpen(Exception):
    """Something could still add rows. The lock on the row is given back."""


def end_on_user_deletion(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of the user model. Clients that must be told are recorded before the tokens go."""
    pk = instance.pk

    def end() -> None:
        # In one order: a sign-in that is under way locks them before it commits.
        list(ProviderIdentity.objects.filter(user_id=pk).order_by("pk").select_for_update())
        end_all_sessions(instance, withdrawn=True)

    def is_open() -> bool:
        live = _written_there(get_refresh_token_model()).filter(user_id=pk, revoked__isnull=True)
        return live.exists() or flows.of_user(pk).exists()

    row = _written_there(sender).filter(pk=pk)
    _forget_refusals(instance)
    # Before the row is locked, because it waits for sessions that join a grant.
    leave.delete_of_user(pk, withdrawn=True)
    _shut(row, is_open, end)
    _delete_missed(
        row,
        [
            *(_written_there(model).filter(user_id=pk) for model in _token_models()),
            *(
                _written_there(model).filter(user_id=pk)
                for model in (UpstreamToken, Consent, ProviderIdentity, SubjectIdentifier)
            ),
            _written_there(PendingAuthorization).filter(Q(user_id=pk) | Q(link_to_id=pk)),
        ],
    )


def _forget_refusals(user: Any) -> None:
    """Delete rows of the log that name no user and say what a provider, or a link, said of this one."""
    accounts = _written_there(ProviderIdentity).filter(user_id=user.pk)
    found = list(accounts.values_list("provider", "subject", "email"))
    theirs = {(provider, subject) for provider, subject, _email in found}
    emails = {email for *_account, email in found} | {getattr(user, user.get_email_field_name(), "") or ""}
    emails = {email.lower() for email in emails if email}
    nobodys = _written_there(PendingAuthorization).filter(user_id=None)
    of_subject = nobodys.filter(said_subject__in=[subject for _provider, subject in theirs])
    # Two providers may know two people by one subject.
    keys = [
        row.pk for row in of_subject.only("provider", "said_subject", "failures") if theirs & _said_of(row)
    ]
    nobodys.filter(Q(pk__in=keys) | Q(said_email__in=emails)).delete()


def _said_of(row: Any) -> set[tuple[str, str]]:
    """Return whom the providers of *row* may have named. A row that was opened again has none of its own."""
    names = {row.provider, *(entry.get("provider", "") for entry in row.failures_read())}
    return {(name, row.said_subject) for name in names}


def end_on_client_deletion(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of the client model. Nobody is told: who wanted to hear of it is deleted."""
    pk = instance.pk
    live = _written_there(get_refresh_token_model()).filter(application_id=pk, revoked__isnull=True)

    def end() -> None:
        flows.end_flows(flows.of_clients([pk]))
        _revoke(live)
        leave.delete_of_client(pk)

    def is_open() -> bool:
        return live.exists() or flows.of_clients([pk]).exists()

    row = _written_there(sender).filter(pk=pk)
    leave.delete_of_client(pk)
    _shut(row, is_open, end)
    _delete_exchanged(pk)
    ours = (
        DeviceAuthorization,
        PendingAuthorization,
        UpstreamToken,
        Consent,
        LogoutDelivery,
        ClientRegistration,
    )
    _delete_missed(
        row,
        [
            *(_written_there(model).filter(application_id=pk) for model in _token_models()),
            *(_written_there(model).filter(client_id=pk) for model in ours),
        ],
    )


def _revoke(live: QuerySet[Any]) -> None:
    """Revoke *live* and, at once, what those who were refreshing got instead.

    The UPDATE waits for them, and does not see their new tokens. Whoever refreshes again and again has used the next
    one before a whole attempt is over, and would win each of them.
    """
    for _ in range(ATTEMPTS):
        now = timezone.now()
        live.update(revoked=now, updated=now)
        if not live.exists():
            return


def _delete_exchanged(client_pk: Any) -> None:
    """Delete what other clients got for tokens of this one (RFC 8693). The tokens go first: see ``forget_sessions``."""
    sessions = _written_there(get_refresh_token_model()).filter(
        application_id=client_pk, token_family__isnull=False
    )
    tokens = _written_there(get_access_token_model()).filter(application_id=client_pk)
    acted_in = list(binding.sessions_acted_in(tokens))
    with family.by_us():
        tokens.delete()
        binding.forget_sessions(sessions.order_by().values("token_family"))
        binding.forget_sessions(acted_in, handed_on=2)


def _token_models() -> list[type[Model]]:
    return [get_refresh_token_model(), get_access_token_model(), get_id_token_model(), get_grant_model()]


def _written_there(model: Any) -> QuerySet[Any]:
    """Return the rows of *model* from where they are written: a replica may be behind."""
    rows: QuerySet[Any] = model._base_manager.using(flows.database())
    return rows


def _shut(row: QuerySet[Any], is_open: Callable[[], bool], end: Callable[[], None]) -> None:
    """Lock *row* when nothing is open that could add rows to it; until then end what is.

    While the row is locked, nothing else is waited for. So nobody who waits for it is waited for.
    """
    for attempt in range(ATTEMPTS + 1):
        try:
            with transaction.atomic(using=flows.database()):
                list(row.select_for_update().values_list("pk"))
                if attempt < ATTEMPTS and is_open():
                    raise _StillOpen
                return
        except _StillOpen:
            pass
        try:
            with transaction.atomic(using=flows.database()):
                end()
        except DatabaseError as error:
            # The savepoint gives back what it locked. The other one goes on, and the next attempt finds what it did.
            # MariaDB gives back the whole transaction, and whoever opened it has to begin again.
            is_over = connections[flows.database()].needs_rollback
            if attempt == ATTEMPTS - 1 or is_over or not is_conflict(error):
                raise


def _delete_missed(row: QuerySet[Any], rows: list[QuerySet[Any]]) -> None:
    """Delete what points to *row*. Some of it was written after Django had collected what it would delete."""
    points_there = reduce(operator.or_, (Q(Exists(pointing)) for pointing in rows))
    if not row.filter(points_there).exists():
        return
    for pointing in rows:
        pointing.delete()
