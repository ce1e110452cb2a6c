"""A fresh access token, by one request whoever asks: one refresh across threads and processes."""

from __future__ import annotations

import time
from pathlib import Path

from .bundle import Bundle, is_due
from .errors import RefreshExpired, RefreshTransient, RefreshUnavailable
from .files import refreshing
from .provider import Provider
from .store import Store


def refresh_access_token(
    store: Store,
    provider: Provider | None = None,
    *,
    account: str | None = None,
    skew: float = 60.0,
    force: bool = False,
    lock_path: Path | None = None,
) -> Bundle:
    """Return tokens of *account* that are good for *skew* seconds more, and refresh them if need be.

    The default account stays what it is. ``refresh_token`` of what is returned is for the store: it may not have
    been read.

    Args:
        store: Where the tokens are.
        provider: Their server; by default as the record of the account names it, without a client secret.
        account: Its name; by default the default account.
        skew: Seconds. A token whose end is unknown is refreshed by force only.
        force: Refresh in any case, as after a 401. If another process has done so meanwhile, its tokens are returned.
        lock_path: The file that is locked; by default one of the store for each account.

    Raises:
        RefreshExpired: Sign in again.
        RefreshTransient: Try later. Nothing was written.
        RefreshUnavailable: Nobody is signed in, or there is nothing to refresh with.
        StoreUnavailable: The keyring or the files cannot be used.
    """
    record = store.named(account)
    if not force and not is_due(record.expires_at, time.time(), skew):
        bundle = store.load(record.name, with_refresh_token=False)
        if bundle is not None:
            return bundle
    seen = store.load(record.name)
    if seen is None:
        raise RefreshUnavailable("Nobody is signed in.", reason="not_signed_in")
    return renew(store, provider, record.name, seen, lock_path=lock_path)


def renew(
    store: Store, provider: Provider | None, name: str, seen: Bundle, *, lock_path: Path | None = None
) -> Bundle:
    """Return tokens that are newer than *seen*: those that another process got, or those of one request.

    Raises:
        RefreshError: As :func:`refresh_access_token`.
    """
    provider = _provider_of(store, provider, name)
    with refreshing(lock_path or store.lock_path(name)) as is_first:
        kept = store.load(name)
        if kept is None:
            raise RefreshUnavailable("Nobody is signed in.", reason="not_signed_in")
        if kept.rotating != seen.rotating:
            return kept
        if not is_first:
            raise RefreshTransient("Another process is refreshing.", reason="busy")
        return _ask(store, provider, name, kept)


def _provider_of(store: Store, provider: Provider | None, name: str) -> Provider:
    account = store.named(name).account
    provider = provider or Provider(account)
    if not provider.serves(account):
        # The refresh token would go to a server that did not give it.
        raise RefreshUnavailable("The account is of another server or client.", reason="other_provider")
    return provider


def _ask(store: Store, provider: Provider, name: str, kept: Bundle) -> Bundle:
    if kept.refresh_token is None:
        store.note_missing_refresh_token(name)
    try:
        new = provider.refresh(kept)
    except RefreshExpired:
        # Somebody with another lock, or on another machine, may have been first.
        current = store.load(name)
        if current is None or current.rotating == kept.rotating:
            raise
        return current
    if store.replace(name, kept, new):
        return new
    # Somebody signed in or out meanwhile, and that stands.
    current = store.load(name)
    if current is None:
        raise RefreshUnavailable("Nobody is signed in.", reason="not_signed_in")
    return current
