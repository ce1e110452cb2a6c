"""Where are the keys of a configured provider? Persisted, so that sign-in works while the provider is down.

The life of a row that nobody refreshes::

    fetched        max-age (15 min)      1 h later                   PROVIDER_KEYS_MAX_AGE (24 h)
    ├──── fresh ───┼────── stale ────────┼────── old ────────────────┼──── not believed
    returned:      at once, and one      after at most 2 s for the   the same; then "keys_stale"
                   process refreshes it  refresh of one process

So a key that its provider withdrew is refused after two hours at the latest, without cron and Celery. Of all processes
together, one fetches per 30 s for tokens that the stored keys cannot verify (I15).

Not here: how it is fetched and stored (:mod:`.key_fetch`), and keys of domains found by discovery
(:mod:`.sso_discovery`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from django.db import router
from django.db.models import Q
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect

from . import key_fetch, published
from .descriptor import ProviderDescriptor
from .key_set import KeySet, KeySetInvalid

logger = logging.getLogger("django_lazyauth.openid")

#: How long what is no longer fresh is returned at once.
STALE: Final = timedelta(hours=1)
#: Between two fetches for tokens that the stored keys cannot verify, across all processes (I15).
REFETCH_INTERVAL: Final = timedelta(seconds=30)
#: Between two refreshes because the token endpoint is not there, across all processes.
ENDPOINT_INTERVAL: Final = timedelta(minutes=5)
#: Seconds that a request waits for the fetch of another one.
WAIT: Final = 2.0


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """What a provider published about itself, as last seen.

    Attributes:
        configuration: Members of its metadata that we use.
        keys: Its signature keys.
        fetched_at: Aware time of the last good answer.
        method_found: How this site authenticates there, where that was found out.
    """

    configuration: Mapping[str, Any]
    keys: KeySet
    fetched_at: datetime
    method_found: str = ""

    def endpoint(self, name: str, descriptor: ProviderDescriptor) -> str:
        """Return an endpoint: the one that the operator configured, else the published one, else empty."""
        return str(getattr(descriptor, name, "") or self.configuration.get(name, ""))

    @property
    def sends_issuer(self) -> bool:
        """Whether each authorization response has to name its issuer (RFC 9207 §2.4)."""
        return self.configuration.get(published.ISS_MEMBER) is True

    @property
    def auth_methods(self) -> tuple[str, ...]:
        """How a client may authenticate at its token endpoint; empty where it does not say."""
        return tuple(self.configuration.get(published.AUTH_METHODS_MEMBER, ()))

    def demands(self, descriptor: ProviderDescriptor) -> list[str]:
        """Return what it demands of every client and this site cannot do, in words such as ``par``."""
        words = self.configuration.get(published.DEMANDS_MEMBER, ())
        # An operator who names a method knows better than the list of the provider.
        is_named = descriptor.token_endpoint_auth_method != "auto"
        return [word for word in words if not (is_named and word == "mtls")]


# --- Reading ----------------------------------------------------------------------------------------------


def load(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Return what is stored of the provider, of any age; ``None`` before the first successful refresh. One SELECT."""
    row = _find(descriptor)
    return None if row is None else _read(descriptor, row)


def load_believed(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Return what is stored of the provider, unless it is too old to be believed. One SELECT; fetches nothing."""
    stored = load(descriptor)
    return None if stored is None or _believed_until(stored) <= timezone.now() else stored


def _find(descriptor: ProviderDescriptor) -> ProviderKeySet | None:
    """Return the row. One of another issuer is ignored: the configuration changed, and its keys are the other's."""
    row = _select(router.db_for_write(ProviderKeySet)).get(descriptor.name)
    return None if row is None or row.issuer != descriptor.issuer or row.fetched_at is None else row


@cache
def _select(using: str) -> PreparedSelect[ProviderKeySet]:
    """Every sign-in reads the row, and compiling the query takes most of the time."""
    return PreparedSelect(ProviderKeySet.objects.using(using).filter(pk=ASKED_FOR))


def _read(descriptor: ProviderDescriptor, row: ProviderKeySet) -> StoredProvider | None:
    try:
        keys = KeySet.from_jwks(descriptor.jwks or row.jwks)
    except KeySetInvalid:
        return None
    if row.fetched_at is None:
        return None
    return StoredProvider(row.configuration, keys, row.fetched_at, row.method_found)


# --- Fresh enough -----------------------------------------------------------------------------------------


def load_or_fetch(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Return what is stored, and see to it that it stays fresh. If nothing is stored, fetch it.

    It waits up to 2 s for what another process fetches.

    Raises:
        SourceFailed: ``keys_stale``: what is stored is too old, and the provider does not answer. Or nothing is stored,
            and why the last fetch failed.
    """
    row = _find(descriptor)
    stored = None if row is None else _read(descriptor, row)
    if row is None or stored is None:
        return _fetch_first(descriptor)
    now = timezone.now()
    fresh_until = row.fresh_until or stored.fetched_at
    if now < fresh_until:
        return stored
    is_stale = now < min(fresh_until + STALE, _believed_until(stored))
    if row.next_refresh_at <= now:
        key_fetch.start(descriptor, in_thread=not is_stale)
    if is_stale:
        return stored
    rows = key_fetch.rows_of(descriptor)
    wait_for(lambda: not rows.filter(refreshing_until__gt=timezone.now()).exists(), seconds=WAIT)
    stored = load(descriptor) or stored
    if _believed_until(stored) <= timezone.now():
        raise SourceFailed("keys_stale")
    return stored


def _believed_until(stored: StoredProvider) -> datetime:
    return stored.fetched_at + lazyauth_settings.provider_keys_max_age


def _fetch_first(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Fetch what was never fetched, or wait for the process that does."""
    key_fetch.refresh(descriptor)
    rows = key_fetch.rows_of(descriptor)
    is_running = rows.filter(refreshing_until__gt=timezone.now())
    wait_for(lambda: load(descriptor) or not is_running.exists(), seconds=WAIT)
    stored = load(descriptor)
    if stored is None and (reason := rows.values_list("last_error", flat=True).first()):
        raise SourceFailed(reason)
    return stored


def refetch(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Fetch the key set because a token names an unknown key or fails a known one, once in 30 s.

    Of all callers in all processes, one fetches per 30 s (I15). Callers that come during its fetch wait for it, 2 s
    at most. The others get what is stored.
    """
    if not descriptor.fetches_keys:
        return load(descriptor)
    now = timezone.now()
    rows = key_fetch.rows_of(descriptor)
    is_ours = rows.filter(
        Q(unknown_kid_at__isnull=True) | Q(unknown_kid_at__lte=now - REFETCH_INTERVAL)
    ).update(unknown_kid_at=now)
    if is_ours:
        try:
            key_fetch.fetch_keys(descriptor)
        except SourceFailed as failure:
            logger.warning(
                "keys of %s: a token needs others, and none came (%s)", descriptor.name, failure.detail
            )
        return load(descriptor)
    claimed_at = rows.values_list("unknown_kid_at", flat=True).first()
    if claimed_at is not None and now - claimed_at < timedelta(seconds=WAIT):
        wait_for(lambda: rows.filter(fetched_at__gte=claimed_at).exists(), seconds=WAIT)
    return load(descriptor)


def endpoint_failed(descriptor: ProviderDescriptor) -> None:
    """Refresh the metadata in the background because its token endpoint is not there, once in 5 min. Never waits."""
    now = timezone.now()
    is_ours = (
        key_fetch.rows_of(descriptor)
        .filter(Q(endpoint_failed_at__isnull=True) | Q(endpoint_failed_at__lte=now - ENDPOINT_INTERVAL))
        .update(endpoint_failed_at=now)
    )
    if is_ours:
        key_fetch.start(descriptor, force=True)
