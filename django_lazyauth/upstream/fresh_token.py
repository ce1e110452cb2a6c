"""Fresh when asked: hand out an upstream's access token, and renew it first if it is about to end.

However many threads and processes notice together that a token ends, one of them asks the upstream: threads
of a process queue behind the first of them, processes contend for a lease in the row. The upstream is asked
outside any transaction, and its answer is written only if the row is still the one that was read.

Not here: how an upstream is asked (the provider's ``refresh``), and what the errors become over HTTP
(:mod:`django_lazyauth.api.upstream`). No log, error or signal holds a token (I13).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import (
    BundleNotFound,
    ProviderError,
    RefreshError,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
    SealBroken,
)
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import UpstreamToken
from django_lazyauth.providers.base import CanRefresh, CanRevoke, TokenAnswer
from django_lazyauth.providers.registry import get_provider, is_on
from django_lazyauth.signals import upstream_token_expired, upstream_token_refreshed
from django_lazyauth.vault import store
from django_lazyauth.vault.lease import Lease, take_lease
from django_lazyauth.vault.peek import Peeked, UpstreamCredential, peek
from django_lazyauth.vault.store import UpstreamBundle

__all__ = [
    "BundleNotFound",
    "RefreshError",
    "RefreshExpired",
    "RefreshTransient",
    "RefreshUnavailable",
    "UpstreamCredential",
    "fresh_token",
]

logger = logging.getLogger("django_lazyauth.vault")

#: How long a token that is handed out is good for at least.
SKEW: Final = timedelta(seconds=60)
#: Seconds that a caller waits for somebody else's refresh, and between two looks at the row.
WAIT: Final = 2.0
WAIT_STEP: Final = 0.05
#: Tries to write an answer down: what the upstream rotated exists nowhere else.
WRITE_TRIES: Final = 3
WRITE_PAUSE: Final = 0.2

T = TypeVar("T")


class Binding(NamedTuple):
    """Whose bundle. All four are in the query: the wrong client or user finds nothing."""

    session_id: UUID
    provider: str
    user_id: Any
    client_id: Any

    def read(self) -> Peeked:
        return peek(self.session_id, self.provider, user_id=self.user_id, client_id=self.client_id)

    def read_whole(self) -> UpstreamBundle:
        return store.get(self.session_id, self.provider, user_id=self.user_id, client_id=self.client_id)


def fresh_token(
    session_id: UUID,
    provider: str,
    *,
    user_id: Any,
    client_id: Any,
    skew: timedelta = SKEW,
    force: bool = False,
    seen_version: int | None = None,
) -> UpstreamCredential:
    """Return an access token of *provider* that is good for *skew* at least. One query where it is.

    Must not be called inside a transaction: a refresh talks to the upstream.

    Args:
        session_id: The session that the caller's own token belongs to.
        provider: Logical name.
        user_id, client_id: Whom the session belongs to.
        skew: A token that ends within it is renewed. One of unknown expiry never is, unless *force* is set.
        force: Renew although the token looks good: the upstream answered 401 to it.
        seen_version: With *force*: the version that was refused. If another one stands now, somebody renewed
            it already, and that one is returned.

    Raises:
        BundleNotFound: This session, user and client have no tokens of that provider.
        RefreshExpired: The person has to sign in at the upstream again.
        RefreshTransient: Try again in a moment.
        RefreshUnavailable: There is nothing to refresh with.
        RuntimeError: A refresh was due inside a transaction.
    """
    binding = Binding(session_id, provider, user_id, client_id)
    held = binding.read()
    if not is_on(provider):
        # An operator who disabled a provider means its tokens too, from the next request on.
        raise RefreshUnavailable(provider, "not_configured")
    if held.is_dead:
        raise RefreshExpired(provider, "invalid_grant")
    if _is_due(held, skew, refused=force and seen_version in (None, held.version)):
        held = _renew_together(binding, held)
    return _open(held)


def _is_due(held: Peeked, skew: timedelta, *, refused: bool) -> bool:
    return refused or (held.expires_at is not None and held.expires_at - skew <= timezone.now())


def _open(held: Peeked) -> UpstreamCredential:
    try:
        return held.open()
    except SealBroken:
        raise RefreshExpired(held.provider, "sealed") from None


# -- one of many ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Flight:
    """A refresh of this process; whoever comes while it lasts waits for it."""

    is_over: threading.Event = field(default_factory=threading.Event)
    error: RefreshError | None = None


_guard = threading.Lock()
_flights: dict[tuple[Binding, int], _Flight] = {}


def _renew_together(binding: Binding, held: Peeked) -> Peeked:
    """Renew *held*, or wait for who is renewing it in this process; followers never ask the upstream."""
    key = binding, held.version
    with _guard:
        flight = _flights.get(key)
        is_leader = flight is None
        if flight is None:
            flight = _flights[key] = _Flight()
    if not is_leader:
        flight.is_over.wait(WAIT)
        return _after_flight(binding, held, flight.error)
    try:
        return _renew(binding, held)
    except RefreshError as error:
        flight.error = error
        raise
    finally:
        with _guard:
            del _flights[key]
        flight.is_over.set()


def _after_flight(binding: Binding, held: Peeked, error: RefreshError | None) -> Peeked:
    now = _unless_dead(binding.read())
    if now.version != held.version:
        return now
    if error is not None:
        raise type(error)(error.provider, error.code)
    raise RefreshTransient(held.provider, "busy")


def _unless_dead(held: Peeked) -> Peeked:
    if held.is_dead:
        raise RefreshExpired(held.provider, "invalid_grant")
    return held


def _wait_for_other_process(binding: Binding, held: Peeked) -> Peeked:
    """Look at the row again and again, 2 s at most; the holder of the lease is at it."""
    give_up = time.monotonic() + WAIT
    while True:
        now = _unless_dead(binding.read())
        if now.version != held.version:
            return now
        if not now.is_leased or time.monotonic() >= give_up:
            raise RefreshTransient(held.provider, "busy")
        time.sleep(WAIT_STEP)


# -- the one that asks the upstream ----------------------------------------------------------------------------


@sensitive_variables()
def _renew(binding: Binding, held: Peeked) -> Peeked:
    try:
        bundle = binding.read_whole()
    except SealBroken:
        raise RefreshExpired(held.provider, "sealed") from None
    if bundle.version != held.version:
        return _unless_dead(binding.read())
    provider = _able_provider(bundle)
    lease = _in_own_transaction(lambda: take_lease(held.pk, held.version))
    if lease is None:
        return _wait_for_other_process(binding, held)
    try:
        answer = _ask(provider, bundle)
    except RefreshExpired as error:
        return _bury(binding, lease, error)
    except RefreshError:
        _in_own_transaction(lease.release)
        raise
    renewed = carry_forward(bundle, answer)
    if not _write_down(lease, renewed):
        return _discard(binding, provider, held, renewed)
    _tell(binding, "refreshed", version=held.version + 1)
    upstream_token_refreshed.send_robust(sender=UpstreamToken, version=held.version + 1, **binding._asdict())
    return binding.read()


def _able_provider(bundle: UpstreamBundle) -> CanRefresh:
    """Return the provider of *bundle* if a refresh could succeed at all."""
    try:
        provider = get_provider(bundle.provider)
    except (ProviderError, ImproperlyConfigured):
        raise RefreshUnavailable(bundle.provider, "not_configured") from None
    if not isinstance(provider, CanRefresh):
        raise RefreshUnavailable(bundle.provider, "cannot_refresh")
    if not bundle.refresh_token:
        raise RefreshUnavailable(bundle.provider, "no_refresh_token")
    if bundle.refresh_expires_at is not None and bundle.refresh_expires_at <= timezone.now():
        raise RefreshExpired(bundle.provider, "refresh_token_expired")
    return provider


@sensitive_variables()
def _ask(provider: CanRefresh, bundle: UpstreamBundle) -> TokenAnswer:
    started = time.monotonic()
    outcome = "answered"
    try:
        return provider.refresh(bundle)
    except RefreshError as error:
        outcome = error.code
        raise
    except ProviderError as error:
        outcome = error.reason
        raise RefreshTransient(bundle.provider, error.reason) from None
    except Exception as error:  # noqa: BLE001 - a host's provider may raise anything; its text may hold a token
        outcome = type(error).__name__
        raise RefreshTransient(bundle.provider, "provider_failed") from None
    finally:
        logger.debug(
            "asked the upstream for a refresh",
            extra={
                "provider": bundle.provider,
                "outcome": outcome,
                "seconds": round(time.monotonic() - started, 3),
            },
        )


@sensitive_variables()
def carry_forward(bundle: UpstreamBundle, answer: TokenAnswer) -> UpstreamBundle:
    """Return the bundle after a refresh (RFC 6749 §6).

    Without a new refresh token the old one stays, with its expiry. A new one never inherits that expiry, and
    a new access token never inherits the old one's.
    """
    rotated = answer.refresh_token not in ("", bundle.refresh_token)
    return replace(
        bundle,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or bundle.refresh_token,
        id_token=answer.id_token or bundle.id_token,
        token_type=answer.token_type,
        scope=answer.scope or bundle.scope,
        expires_at=answer.expires_at,
        refresh_expires_at=answer.refresh_expires_at if rotated else bundle.refresh_expires_at,
    )


@sensitive_variables()
def _write_down(lease: Lease, renewed: UpstreamBundle) -> bool:
    """Write the answer, more than once if the connection breaks.

    Raises:
        RefreshTransient: The database is gone. If the upstream rotated, the next refresh will be refused, and
            the person is asked to sign in again; a second try cannot loop.
    """
    for attempt in range(WRITE_TRIES):
        try:
            return _in_own_transaction(lambda: lease.write(renewed))
        except (OperationalError, InterfaceError):
            connections[store.database()].close_if_unusable_or_obsolete()
            if attempt < WRITE_TRIES - 1:
                time.sleep(WRITE_PAUSE)
        except DatabaseError:
            break
    logger.error("a refreshed upstream token could not be written", extra={"provider": renewed.provider})
    raise RefreshTransient(renewed.provider, "not_written")


def _bury(binding: Binding, lease: Lease, error: RefreshExpired) -> Peeked:
    """The refresh token is dead: so is the bundle, unless a newer sign-in has replaced it."""
    if not _in_own_transaction(lease.mark_dead):
        now = binding.read()
        if now.version != lease.version:
            return _unless_dead(now)
        raise error
    _tell(binding, "expired", code=error.code)
    upstream_token_expired.send_robust(sender=UpstreamToken, **binding._asdict())
    raise error


@sensitive_variables()
def _discard(binding: Binding, provider: CanRefresh, held: Peeked, renewed: UpstreamBundle) -> Peeked:
    """A newer sign-in or a sign-out won: what we got must not live on, here or upstream."""
    try:
        stored = binding.read_whole()
    except (BundleNotFound, SealBroken):
        stored = None
    if stored is not None and stored.version == held.version:
        # Only the lease is over: we stood still for too long, and somebody else asks for the same bundle now.
        # To revoke what we got could end the whole grant, theirs with it.
        raise RefreshTransient(held.provider, "overtaken")
    if stored is not None and stored.refresh_token == renewed.refresh_token:
        # The newer bundle carries the same refresh token: only our access token is nobody's.
        renewed = replace(renewed, refresh_token="")
    if isinstance(provider, CanRevoke):
        try:
            provider.revoke(renewed)
        except Exception as error:  # noqa: BLE001 - it is discarded here all the same
            _tell(binding, "not_revoked", code=type(error).__name__)
    _tell(binding, "discarded")
    return _unless_dead(binding.read())


def _in_own_transaction(work: Callable[[], T]) -> T:
    """Commit *work* at once; inside somebody else's transaction a lease would be seen by nobody."""

    def done() -> T:
        with transaction.atomic(using=store.database(), durable=True):
            return work()

    return retry_on_conflict(done)


def _tell(binding: Binding, outcome: str, **extra: object) -> None:
    logger.info(
        "upstream token %s",
        outcome,
        extra={
            "provider": binding.provider,
            "session_id": str(binding.session_id),
            "outcome": outcome,
            **extra,
        },
    )


def expires_in(credential: UpstreamCredential, now: datetime | None = None) -> int | None:
    """Return the seconds that a credential has left, ``None`` where nobody knows."""
    if credential.expires_at is None:
        return None
    return max(0, int((credential.expires_at - (now or timezone.now())).total_seconds()))
