"""Hand out an upstream's access token, renewed first if it is about to expire.

However many threads and processes notice that a token expires, and for however many sessions of one grant, one of them
asks the upstream: threads of a process wait for the first of them, processes compete for a lease on the grant.

Not here: the refresh itself (:mod:`.renew`), and how an error is answered (:mod:`django_lazyauth.api.upstream`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import (
    BundleNotFound,
    RefreshError,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
    SealBroken,
)
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.providers.registry import is_on
from django_lazyauth.vault.move import to_younger
from django_lazyauth.vault.read import StoredBundle, UpstreamCredential, read
from django_lazyauth.vault.tokens import Binding

from .renew import open_credential, renew

__all__ = [
    "BundleNotFound",
    "RefreshError",
    "RefreshExpired",
    "RefreshTransient",
    "RefreshUnavailable",
    "UpstreamCredential",
    "fresh_token",
]

#: How long a token that is handed out is good for at least.
SKEW: Final = timedelta(seconds=60)
#: Seconds that a caller waits for a refresh of another thread or process: 10 s of HTTP, and the time to write.
WAIT: Final = 12.0


@sensitive_variables()
def fresh_token(
    session_id: UUID,
    provider: str,
    *,
    user_id: Any,
    client_id: Any,
    skew: timedelta = SKEW,
    force: bool = False,
    seen_version: int | None = None,
    wait: float = WAIT,
) -> UpstreamCredential:
    """Return an access token of *provider* that is good for *skew* at least. One query where it is.

    Call it outside any transaction: a refresh talks to the upstream.

    Args:
        session_id: The session that the caller's own token belongs to.
        provider: Logical name.
        user_id, client_id: Whom the session belongs to.
        skew: A token that expires within it is renewed, one of unknown expiry with *force* only.
        force: Renew although it looks good: the upstream answered 401.
        seen_version: The version that was refused. Another one that is stored is returned.
        wait: Seconds to wait at most for a refresh that somebody else is doing.

    Raises:
        BundleNotFound: This session, user and client have no tokens of that provider.
        RefreshExpired: The person has to sign in at the upstream again.
        RefreshTransient: Try again in a moment.
        RefreshUnavailable: There is nothing to refresh with.
    """
    held = read(Binding(session_id, provider, user_id, client_id))
    if not is_on(provider):
        # A disabled provider disables its tokens too.
        raise RefreshUnavailable(provider, "not_configured")
    try:
        return _fresh(held, skew, wait, is_refused=force and seen_version in (None, held.version))
    except RefreshExpired:
        if (younger := _younger(held)) is None:
            raise
    return _fresh(younger, skew, wait, is_refused=False)


def _fresh(held: StoredBundle, skew: timedelta, wait: float, *, is_refused: bool) -> UpstreamCredential:
    if held.is_dead:
        raise RefreshExpired(held.binding.provider, "invalid_grant")
    if is_refused or (held.expires_at is not None and held.expires_at <= timezone.now() + skew):
        return _renew_once(held, wait)
    return open_credential(held)


@sensitive_variables()
def _younger(held: StoredBundle) -> StoredBundle | None:
    """Return the row of a session whose grant died, after it moved to a younger grant; ``None`` if there is none."""
    now = read(held.binding)
    if now.grant_id in (held.grant_id, None):
        try:
            now = read(held.binding) if now.is_dead and to_younger(now) else now
        except SealBroken:
            return None
    return None if now.is_dead or now.grant_id == held.grant_id else now


@dataclass(slots=True)
class _Running:
    """A refresh that a thread of this process is doing; other threads wait for it."""

    is_done: threading.Event = field(default_factory=threading.Event)
    credential: UpstreamCredential | None = None
    error: RefreshError | None = None


_guard = threading.Lock()
#: By grant, or by session for a row of an earlier release; and by version.
_running: dict[tuple[UUID | Binding, int], _Running] = {}


@sensitive_variables()
def _renew_once(held: StoredBundle, wait: float) -> UpstreamCredential:
    """Renew the grant of *held*, or wait for the thread or process that is renewing it."""
    try:
        # Before another session's refresh is waited for.
        held.checked()
    except SealBroken:
        raise RefreshExpired(held.binding.provider, "sealed") from None
    key = held.grant_id or held.binding, held.version
    with _guard:
        theirs = _running.get(key)
        if theirs is None:
            ours = _running[key] = _Running()
    if theirs is not None:
        theirs.is_done.wait(wait)
        return theirs.credential or _newer(read(held.binding), held, theirs.error)
    try:
        ours.credential = renew(held) or _wait_for_other_process(held, wait)
        return ours.credential
    except RefreshError as error:
        ours.error = error
        raise
    finally:
        with _guard:
            del _running[key]
        ours.is_done.set()


@sensitive_variables()
def _wait_for_other_process(held: StoredBundle, wait: float) -> UpstreamCredential:
    """Look at the row until the holder of the lease has written or released it, or is lost: then renew in its place."""

    def finished() -> StoredBundle | None:
        now = read(held.binding)
        return None if _is_unchanged(now, held) and not _is_over(now.leased_until) else now

    now = wait_for(finished, seconds=wait)
    if now is None:
        raise RefreshTransient(held.binding.provider, "busy")
    if now.leased_until is not None and _is_unchanged(now, held):
        return renew(now) or _newer(read(held.binding), held)
    return _newer(now, held)


def _is_unchanged(now: StoredBundle, held: StoredBundle) -> bool:
    return not (_is_newer(now, held) or now.is_dead)


def _is_newer(now: StoredBundle, held: StoredBundle) -> bool:
    """Say whether another access token is stored. A row of an earlier release keeps its own when it gets a grant."""
    return now.version != held.version or held.grant_id not in (None, now.grant_id)


def _is_over(leased_until: datetime | None) -> bool:
    """Say whether nobody holds the lease any more. :meth:`Lease.take` asks the clock of the database."""
    return leased_until is None or leased_until < timezone.now()


@sensitive_variables()
def _newer(now: StoredBundle, held: StoredBundle, error: RefreshError | None = None) -> UpstreamCredential:
    """Return the credential of *now* if it is newer than *held*.

    Raises:
        RefreshError: It is not, because the refresh failed with *error* or is still running.
    """
    # A refresh that failed may have kept a new refresh token, and leaves the expired access token where it is.
    is_expired = now.expires_at is not None and now.expires_at <= timezone.now()
    if now.is_dead or (_is_newer(now, held) and not (error and is_expired)):
        return open_credential(now)
    if error is not None:
        raise type(error)(error.provider, error.code)
    raise RefreshTransient(held.binding.provider, "busy")


def expires_in(credential: UpstreamCredential, now: datetime | None = None) -> int | None:
    """Return the seconds that a credential has left, ``None`` where nobody knows."""
    if credential.expires_at is None:
        return None
    return max(0, int((credential.expires_at - (now or timezone.now())).total_seconds()))
