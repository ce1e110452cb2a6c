"""Renew one upstream grant, for all its sessions: take the lease, ask the upstream, write its answer.

The upstream is asked outside any transaction. Its answer is written only if the grant is still the version that was
read. If its last session left it meanwhile, the new tokens are revoked. What the answer says of the refresh token is
written before anything else of it is judged: a spent refresh token that is sent again ends the grant at many upstreams.

Not here: whether a refresh is due, and waiting for another one (:mod:`.fresh_token`); how an upstream is asked (the
provider's ``refresh``). No log, error or signal holds a token (I13).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

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
from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import Revocation, UpstreamToken
from django_lazyauth.providers.base import CanRefresh, CanRevoke, UnusableAnswer
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.signals import upstream_token_expired, upstream_token_refreshed
from django_lazyauth.vault.lease import Lease
from django_lazyauth.vault.move import to_grant, to_younger
from django_lazyauth.vault.read import StoredBundle, UpstreamCredential, credential_of, database, read
from django_lazyauth.vault.tokens import Binding, UpstreamBundle, UpstreamTokens

from . import unwritten
from .move_in import terms_of

logger = logging.getLogger("django_lazyauth.vault")

#: Tries to write an answer: a rotated refresh token exists nowhere else.
WRITE_TRIES: Final = 3
#: Seconds between two tries.
WRITE_PAUSE: Final = 0.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Refresh:
    """One refresh, while it runs. Its repr shows no token.

    Attributes:
        held: The row and its grant as they were read.
        bundle: The same, opened.
        lease: Our right to write.
    """

    held: StoredBundle
    bundle: UpstreamBundle
    provider: CanRefresh
    lease: Lease

    @property
    def binding(self) -> Binding:
        return self.held.binding


@sensitive_variables()
def renew(held: StoredBundle) -> UpstreamCredential | None:
    """Renew *held* and return the credential to use; ``None`` if another process is renewing it.

    Raises:
        BundleNotFound, RefreshExpired, RefreshTransient, RefreshUnavailable: As ``fresh_token``.
    """
    try:
        bundle = held.bundle()
    except SealBroken:
        raise RefreshExpired(held.binding.provider, "sealed") from None
    provider = _provider_for(bundle)
    key = held.key
    if key is None:
        moved = _moved_in(held)
        return None if moved is None else renew(moved)
    refresh = _Refresh(held, bundle, provider, Lease.new(key, held.version))
    if not _commit(refresh.lease.take).value:
        return None
    try:
        answer = unwritten.take(held) or _ask(refresh.provider, bundle)
    except RefreshExpired as error:
        return _mark_dead(refresh, error)
    except RefreshError:
        measure.count(measure.UPSTREAM_REFRESHES, measure.provider_label(bundle.provider), "failed")
        _release(refresh)
        raise
    return _record(refresh, answer)


def _moved_in(held: StoredBundle) -> StoredBundle | None:
    """Return a row of an earlier release after its tokens moved into a grant; ``None`` while they cannot."""
    terms = terms_of(held.binding.provider)
    _commit(lambda: to_grant(held.pk, terms))
    now = read(held.binding)
    return None if now.grant_id is None else now


@sensitive_variables()
def _record(refresh: _Refresh, answer: UpstreamTokens | UnusableAnswer) -> UpstreamCredential:
    """Write what became of the refresh token, and then judge the rest of the answer."""
    bundle = refresh.bundle
    if isinstance(answer, UnusableAnswer):
        error = RefreshTransient(bundle.provider, answer.reason)
        if answer.is_spent and not answer.refresh_token:
            return _mark_dead(refresh, RefreshExpired(bundle.provider, answer.reason))
        if not answer.is_spent:
            _release(refresh)
            raise error
        renewed = bundle.with_refresh_token(answer.refresh_token, answer.refresh_expires_at)
        id_token = ""
    else:
        error, renewed, id_token = None, bundle.renewed_by(answer), answer.id_token
    try:
        written = _commit(lambda: refresh.lease.write(renewed, id_token=id_token))
    except (DatabaseError, InterfaceError, ValueError):
        # A driver raises ValueError for a text that its database cannot hold.
        return _not_written(refresh, answer, renewed)
    if not written.value:
        return _discard(refresh, renewed, may_revoke=written.is_certain)
    if error is not None:
        raise error
    version = refresh.lease.version + 1
    _log_outcome(refresh.binding, "refreshed", version=version)
    upstream_token_refreshed.send_robust(sender=UpstreamToken, version=version, **refresh.binding._asdict())
    return open_credential(read(refresh.binding))


def open_credential(stored: StoredBundle) -> UpstreamCredential:
    """Return the credential of a stored bundle.

    Raises:
        RefreshExpired: The bundle is dead, or cannot be opened.
    """
    if stored.is_dead:
        raise RefreshExpired(stored.binding.provider, "invalid_grant")
    try:
        return stored.credential()
    except SealBroken:
        raise RefreshExpired(stored.binding.provider, "sealed") from None


def _provider_for(bundle: UpstreamBundle) -> CanRefresh:
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
def _ask(provider: CanRefresh, bundle: UpstreamBundle) -> UpstreamTokens | UnusableAnswer:
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
        seconds = round(time.monotonic() - started, 3)
        logger.debug(
            "asked the upstream for a refresh",
            extra={"provider": bundle.provider, "outcome": outcome, "seconds": seconds},
        )


@sensitive_variables()
def _not_written(
    refresh: _Refresh, answer: UpstreamTokens | UnusableAnswer, renewed: UpstreamBundle
) -> UpstreamCredential:
    """Return the credential of *renewed* although it stands nowhere, if the stored refresh token is still good.

    Raises:
        RefreshExpired: The stored refresh token is spent, and the new one cannot be kept. The bundle is dead.
        RefreshTransient: The same, and the database is gone. This process writes the answer later.
    """
    provider = refresh.bundle.provider
    logger.error("a refreshed upstream token could not be written", extra={"provider": provider})
    if renewed.refresh_token == refresh.bundle.refresh_token:
        _release(refresh)
        return credential_of(renewed)
    try:
        return _mark_dead(refresh, RefreshExpired(provider, "not_written"))
    except (DatabaseError, InterfaceError):
        unwritten.keep(refresh.held, answer)
        raise RefreshTransient(provider, "not_written") from None


@sensitive_variables()
def _mark_dead(refresh: _Refresh, error: RefreshExpired) -> UpstreamCredential:
    """Mark the grant dead, because its refresh token is, unless a newer sign-in has replaced it.

    Where the session moved to a younger grant, the error is raised too. The caller reads the row again.
    """
    if not _commit(refresh.lease.mark_dead).value:
        now = read(refresh.binding)
        if now.stand != refresh.held.stand:
            return open_credential(now)
        raise error
    if _commit(lambda: to_younger(refresh.held)).value:
        _log_outcome(refresh.binding, "moved", code=error.code)
        raise error
    _log_outcome(refresh.binding, "expired", code=error.code)
    upstream_token_expired.send_robust(sender=UpstreamToken, **refresh.binding._asdict())
    raise error


def _release(refresh: _Refresh) -> None:
    """End the lease. Where that fails it ends by itself, and the caller has something better to tell."""
    try:
        _commit(refresh.lease.release)
    except (DatabaseError, InterfaceError):
        _log_outcome(refresh.binding, "not_released")


@sensitive_variables()
def _discard(refresh: _Refresh, renewed: UpstreamBundle, *, may_revoke: bool) -> UpstreamCredential:
    """Return what is stored instead of *renewed*, because a newer sign-in or a sign-out came first.

    *renewed* is revoked where no session is left on its grant, so that nobody can hold it.

    Args:
        may_revoke: ``False`` where *renewed* may have been stored for a moment, so that somebody may use it.

    Raises:
        BundleNotFound: The person signed out.
        RefreshTransient: The lease expired before the answer came, and another process is asking now. Nothing is
            revoked then: that could end the whole grant, with the tokens of the other process.
    """
    try:
        now = read(refresh.binding)
    except BundleNotFound:
        now, may_revoke = None, True
    if now is not None and now.stand == refresh.held.stand:
        raise RefreshTransient(refresh.binding.provider, "overtaken")
    if may_revoke and refresh.lease.is_left():
        _revoke(refresh, renewed)
    _log_outcome(refresh.binding, "discarded")
    return open_credential(read(refresh.binding))


@sensitive_variables()
def _revoke(refresh: _Refresh, renewed: UpstreamBundle) -> None:
    # An access token ends by itself, soon. Its revocation, as that of a whole grant, could end what others live on.
    is_own_family = terms_of(refresh.binding.provider).revocation == Revocation.TOKEN
    if not (is_own_family and renewed.refresh_token and isinstance(refresh.provider, CanRevoke)):
        return
    try:
        refresh.provider.revoke(renewed)
    except Exception as error:  # noqa: BLE001 - the tokens are discarded all the same
        _log_outcome(refresh.binding, "not_revoked", code=type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Committed(Generic[T]):
    """What a piece of work returned.

    Attributes:
        is_certain: Only one COMMIT was sent for it. Else an earlier one may have been committed as well.
    """

    value: T
    is_certain: bool


@sensitive_variables()
def _commit(work: Callable[[], T]) -> _Committed[T]:
    """Commit *work* at once, again if the connection breaks. Inside another transaction nobody would see the lease.

    Args:
        work: One call of a lease. It recognises what an earlier call wrote whose COMMIT nobody acknowledged (I22).

    Raises:
        DatabaseError, InterfaceError: The database is gone, or refuses.
    """

    def in_own_transaction() -> T:
        with transaction.atomic(using=database(), durable=True):
            return work()

    for attempt in range(WRITE_TRIES):
        try:
            return _Committed(retry_on_conflict(in_own_transaction), is_certain=attempt == 0)
        except (OperationalError, InterfaceError):
            if attempt == WRITE_TRIES - 1:
                raise
            connections[database()].close_if_unusable_or_obsolete()
            time.sleep(WRITE_PAUSE)
    raise AssertionError("unreachable")


def _log_outcome(binding: Binding, outcome: str, **extra: object) -> None:
    measure.count(measure.UPSTREAM_REFRESHES, measure.provider_label(binding.provider), outcome)
    about = {"provider": binding.provider, "session_id": str(binding.session_id), "outcome": outcome}
    logger.info("upstream token %s", outcome, extra=about | extra)
