"""Renew one upstream bundle: take the lease, ask the upstream, write its answer.

The upstream is asked outside any transaction. Its answer is written only if the row is still the version that was
read; otherwise the new tokens are revoked.

Not here: whether a refresh is due, and waiting for another one (:mod:`.fresh_token`); how an upstream is asked (the
provider's ``refresh``). No log, error or signal holds a token (I13).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

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
from django_lazyauth.providers.base import CanRefresh, CanRevoke
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.signals import upstream_token_expired, upstream_token_refreshed
from django_lazyauth.vault.lease import Lease, take_lease
from django_lazyauth.vault.read import StoredBundle, UpstreamCredential, database, read
from django_lazyauth.vault.tokens import Binding, UpstreamBundle, UpstreamTokens

logger = logging.getLogger("django_lazyauth.vault")

#: Tries to write an answer: a rotated refresh token exists nowhere else.
WRITE_TRIES: Final = 3
#: Seconds between two of them.
WRITE_PAUSE: Final = 0.2

T = TypeVar("T")


@sensitive_variables()
def renew(held: StoredBundle) -> UpstreamCredential | None:
    """Renew *held* and return the credential to use; ``None`` if another process is renewing it.

    Raises:
        BundleNotFound, RefreshExpired, RefreshTransient, RefreshUnavailable: As ``fresh_token``.
    """
    binding = held.binding
    try:
        bundle = held.bundle()
    except SealBroken:
        raise RefreshExpired(binding.provider, "sealed") from None
    provider = _provider_for(bundle)
    lease = _in_own_transaction(lambda: take_lease(held.pk, held.version))
    if lease is None:
        return None
    try:
        answer = _ask(provider, bundle)
    except RefreshExpired as error:
        return _mark_dead(binding, lease, error)
    except RefreshError:
        _in_own_transaction(lease.release)
        raise
    renewed = bundle.renewed_by(answer)
    if not _write(lease, renewed):
        return _discard(provider, renewed)
    version = held.version + 1
    _log_outcome(binding, "refreshed", version=version)
    upstream_token_refreshed.send_robust(sender=UpstreamToken, version=version, **binding._asdict())
    return open_credential(read(binding))


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
def _ask(provider: CanRefresh, bundle: UpstreamBundle) -> UpstreamTokens:
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
def _write(lease: Lease, renewed: UpstreamBundle) -> bool:
    """Write the answer, more than once if the connection breaks.

    Raises:
        RefreshTransient: The database is gone. If the upstream rotated the refresh token, it refuses the next
            refresh, and the person is asked to sign in again.
    """
    for attempt in range(WRITE_TRIES):
        try:
            return _in_own_transaction(lambda: lease.write(renewed))
        except (OperationalError, InterfaceError):
            connections[database()].close_if_unusable_or_obsolete()
            if attempt < WRITE_TRIES - 1:
                time.sleep(WRITE_PAUSE)
        except DatabaseError:
            break
    logger.error("a refreshed upstream token could not be written", extra={"provider": renewed.provider})
    raise RefreshTransient(renewed.provider, "not_written")


def _mark_dead(binding: Binding, lease: Lease, error: RefreshExpired) -> UpstreamCredential:
    """Mark the bundle dead, because its refresh token is, unless a newer sign-in has replaced it."""
    if not _in_own_transaction(lease.mark_dead):
        now = read(binding)
        if now.version != lease.version:
            return open_credential(now)
        raise error
    _log_outcome(binding, "expired", code=error.code)
    upstream_token_expired.send_robust(sender=UpstreamToken, **binding._asdict())
    raise error


@sensitive_variables()
def _discard(provider: CanRefresh, renewed: UpstreamBundle) -> UpstreamCredential:
    """Revoke *renewed*, because a newer sign-in or a sign-out came first; return what is stored instead.

    Raises:
        BundleNotFound: The person signed out.
        RefreshTransient: The lease expired before the answer came, and another process is asking now. Nothing is
            revoked then: that could end the whole grant, with the tokens of the other process.
    """
    binding = Binding(renewed.session_id, renewed.provider, renewed.user_id, renewed.client_id)
    try:
        now = read(binding)
        if now.version == renewed.version:
            raise RefreshTransient(binding.provider, "overtaken")
        if now.bundle().refresh_token == renewed.refresh_token:
            # The newer bundle uses this refresh token too. Only our access token is unused.
            renewed = replace(renewed, refresh_token="")
    except (BundleNotFound, SealBroken):
        pass
    if isinstance(provider, CanRevoke):
        try:
            provider.revoke(renewed)
        except Exception as error:  # noqa: BLE001 - the tokens are discarded all the same
            _log_outcome(binding, "not_revoked", code=type(error).__name__)
    _log_outcome(binding, "discarded")
    return open_credential(read(binding))


def _in_own_transaction(work: Callable[[], T]) -> T:
    """Commit *work* at once. Inside another transaction no other process would see the lease."""

    def commit() -> T:
        with transaction.atomic(using=database(), durable=True):
            return work()

    return retry_on_conflict(commit)


def _log_outcome(binding: Binding, outcome: str, **extra: object) -> None:
    about = {"provider": binding.provider, "session_id": str(binding.session_id), "outcome": outcome}
    logger.info("upstream token %s", outcome, extra=about | extra)
