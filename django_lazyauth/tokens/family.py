"""A family of refresh tokens, and the access tokens that came with them: what a session hangs on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import get_access_token_model, get_refresh_token_model

from . import binding
from . import refresh as refresh_tokens

LIVE = Q(revoked__isnull=True) | Q(access_token__isnull=False)

_IS_OURS: Final[ContextVar[bool]] = ContextVar("django_lazyauth_ends_tokens", default=False)


def is_ours() -> bool:
    """Say whether tokens are revoked or deleted by us now. What listens to that has nothing to end then."""
    return _IS_OURS.get()


@contextmanager
def by_us() -> Iterator[None]:
    """Let :func:`is_ours` know of what is done inside."""
    before = _IS_OURS.set(True)
    try:
        yield
    finally:
        _IS_OURS.reset(before)


def revoke(family: UUID) -> None:
    """Revoke every refresh token of *family* and delete its access tokens, in the caller's transaction.

    With them goes what is kept for a retry: it holds tokens of the family (I11). And what they were exchanged for.
    """
    with by_us():
        get_refresh_token_model().revoke_family(family)
        binding.forget_sessions([family])
    SealedSuccessor.objects.of_family(family).delete()


def is_alive(family: UUID) -> bool:
    """Say whether any token of *family* still works, in the caller's transaction.

    The reads lock, because at MariaDB's REPEATABLE READ others show the family as it was when the transaction began.
    """
    refresh = _refresh_tokens(family).select_for_update()
    access = get_access_token_model().objects.using(refresh.db).select_for_update()
    access = access.filter(pk__in=_refresh_tokens(family).values("access_token_id"))
    return bool(refresh.filter(revoked__isnull=True).exists() or access.exists())


def exists(family: UUID, user_pk: Any) -> bool:
    """Say whether *family* is one of this user, alive or not."""
    return bool(_refresh_tokens(family).filter(user_id=user_pk).exists())


def _refresh_tokens(family: UUID) -> Any:
    """Return the rows of *family*, from where they are written: a replica may be behind."""
    model = get_refresh_token_model()
    return model.objects.using(router.db_for_write(model)).filter(token_family=family)


def live_member(family: UUID) -> Any:
    """Return a refresh token of *family* that works or whose access token does, with its client; or ``None``."""
    return (
        get_refresh_token_model()
        .objects.filter(LIVE, token_family=family)
        .select_related(f"application__{clients.REGISTRATION}")
        .order_by("-pk")
        .first()
    )


def families_of(user_pk: Any, *, client_pk: Any = None) -> list[UUID]:
    """Return the families of a person that hold a token which works, of one client or of all."""
    members = get_refresh_token_model().objects.filter(LIVE, user_id=user_pk, token_family__isnull=False)
    if client_pk is not None:
        members = members.filter(application_id=client_pk)
    return list(members.order_by().values_list("token_family", flat=True).distinct())


def forget_handed_on(client_pks: Collection[Any]) -> None:
    """Delete what tokens of these clients were exchanged for (RFC 8693), in the caller's transaction.

    Of a client that got its token by an exchange itself, that is all that was handed on twice in the same session.
    """
    model, now = get_refresh_token_model(), timezone.now()
    using = router.db_for_write(model)
    tokens = get_access_token_model().objects.using(using).filter(application_id__in=client_pks)
    # It waits for exchanges that are under way. One that read such a token before, and did not write yet, finds that
    # the row changed.
    tokens.filter(expires__gt=now).update(updated=now)
    members = model.objects.using(using).filter(application_id__in=client_pks, revoked=None)
    with by_us():
        binding.forget_sessions(members.values("token_family"), handed_on=1)
        binding.forget_sessions(list(binding.sessions_acted_in(tokens)), handed_on=2)


def lock(user_pk: Any) -> None:
    """Lock the refresh tokens of a person that work, in the caller's transaction.

    As the first statement it lets the transaction read what others have committed. Otherwise whoever refreshes again
    and again would abort it each time, at REPEATABLE READ and SERIALIZABLE.
    """
    model = get_refresh_token_model()
    rows = model.objects.using(router.db_for_write(model)).filter(user_id=user_pk, revoked__isnull=True)
    list(rows.select_for_update().order_by("pk").values_list("pk"))


def revoke_loose(user_pk: Any, *, client_pk: Any = None) -> None:
    """Revoke a person's tokens that belong to no family, in the caller's transaction: DOT made them before us."""
    refresh = get_refresh_token_model().objects.filter(user_id=user_pk, revoked__isnull=True)
    access = get_access_token_model().objects.filter(user_id=user_pk, refresh_token__isnull=True)
    if client_pk is not None:
        refresh, access = refresh.filter(application_id=client_pk), access.filter(application_id=client_pk)
    with by_us():
        for token in refresh.filter(token_family__isnull=True):
            token.revoke()
        access.delete()


def newest_live(user_pk: Any, now: datetime) -> list[Any]:
    """Return the refresh tokens by which *user_pk* is signed in somewhere, one per family, last used first.

    Its ``created`` is when the family was last used: each refresh writes a new one, and nothing else is written
    for it. Loaded with client and registration. One query for sessions of ours.
    """
    rows = (
        get_refresh_token_model()
        .objects.filter(
            user_id=user_pk,
            token_family__isnull=False,
            revoked__isnull=True,
            access_token__isnull=False,
            created__gt=now - lazyauth_settings.refresh_token_idle_lifetime,
        )
        .select_related(f"application__{clients.REGISTRATION}")
        .order_by("-created", "-pk")
    )
    newest: dict[UUID, Any] = {}
    for row in rows:
        newest.setdefault(row.token_family, row)
    oldest_start = now - lazyauth_settings.refresh_token_lifetime
    return [row for row in newest.values() if refresh_tokens.started_at(row) > oldest_start]


def started_at(refresh_token: Any) -> datetime:
    """Return when the session of a refresh token began."""
    return refresh_tokens.started_at(refresh_token)


def with_live_tokens(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Keep the pending authorizations whose session lives: a refresh token of it was not spent or revoked."""
    alive: QuerySet[Any] = rows.filter(Exists(_live_tokens()))
    return alive


def last_used(families: list[UUID]) -> dict[UUID, datetime]:
    """Return when the unspent refresh token of each family was written."""
    unspent = get_refresh_token_model().objects.filter(token_family__in=families, revoked__isnull=True)
    return dict(unspent.order_by().values_list("token_family").annotate(newest=Max("created")))


def alive_until(families: list[UUID], now: datetime) -> dict[UUID, datetime]:
    """Return when each family that lives ends by itself, at the earliest. A family that ended is missing."""
    # An access token may live longer; the session is needed to end it (I11).
    idle = max(lazyauth_settings.refresh_token_idle_lifetime, lazyauth_settings.longest_access_token)
    return {family: created + idle for family, created in last_used(families).items() if created + idle > now}


def _live_tokens() -> QuerySet[Any]:
    live: QuerySet[Any] = get_refresh_token_model().objects.filter(
        token_family=OuterRef("session_id"), revoked__isnull=True
    )
    return live


def owners_among(user_pks: list[Any]) -> list[Any]:
    """Return those of these users whose tokens stand."""
    members = get_refresh_token_model().objects.filter(LIVE, user_id__in=user_pks)
    return list(members.order_by().values_list("user_id", flat=True).distinct())
