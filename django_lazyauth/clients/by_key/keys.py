"""Where are the keys of this client: in its metadata, or at an address that it named (RFC 7591 §2)?

A key set at an address is cached for all processes. It is fetched once however many requests need it, and again for an
unknown ``kid`` once per 30 s (I15). No transaction may be open where a request waits for it.

Not here: how a fetch is shared (:mod:`django_lazyauth.kit.cached_fetch`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit import fetch
from django_lazyauth.kit.background import Share
from django_lazyauth.kit.cached_fetch import CachedFetch, register
from django_lazyauth.kit.results import Failed, Pending, Ready, Result, SourceFailed
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.openid import published
from django_lazyauth.openid.jose import Reason, TokenRejected
from django_lazyauth.openid.key_set import STRANGERS, KeySet, KeySetInvalid
from django_lazyauth.toolkit import client_methods
from django_lazyauth.toolkit.clients import Client, is_of_document, is_self_registered

#: Seconds that a token request waits for a fetch: the longest that clients wait without a doubt.
WAIT: Final = 5.0
#: Fetches from one host. Many clients may name addresses of a host that is not theirs. Those of the host itself and of
#: operators count apart, so that strangers cannot use them up.
FETCHES_OF_HOST: Final = Throttle("client-keys-of-host", 10, timedelta(minutes=1))
#: What fetches of strangers' keys take of the threads of a process: all of them, and those from one host.
STRANGERS_SHARE: Final = Share("client keys of strangers", threads=4, queue=32)
HOSTS_SHARE: Final = Share("client keys at a host", threads=2, queue=8)
#: Failures after which another try may succeed. All others say that the address holds no usable keys.
PASSING: Final = frozenset(
    {"timeout", "dns", "connect", "tls", "broken", "status", "too_many_fetches", "cache_unavailable", "error"}
)


class KeysAway(TemporarilyUnavailable):
    """The keys of the client are not there yet, or its server does not answer.

    Attributes:
        retry_after: Seconds until another try makes sense.
    """

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__("The keys of this client cannot be read at the moment.")


def load_keys(client: Client, *, refetch: bool = False) -> KeySet:
    """Return the keys of *client*. Waits for a fetch, 5 s at most.

    Args:
        refetch: The keys that are known do not hold the one that is needed.

    Raises:
        KeysAway: They are not there yet.
        TokenRejected: ``key_set``: the client has none that can be used.
    """
    given = client_methods.given_keys(client)
    if given is not None:
        return _parse(given)
    if not client_methods.keys_uri(client):
        raise TokenRejected(Reason.KEY_SET)
    match _fetched(_cache_key(client), renew=refetch):
        case Ready(keys):
            return _parse(keys)
        case Failed(reason, retry_after) if reason not in PASSING:
            raise TokenRejected(Reason.KEY_SET)
        case Failed(_, retry_after) | Pending(retry_after):
            raise KeysAway(retry_after)


def prefetch_keys(client: Client, *, refetch: bool = False) -> None:
    """Start the fetch that the token request of *client* will need. Never waits and never raises.

    Args:
        refetch: Also where the keys are fresh, once per 30 s.
    """
    if client_methods.may_use_key(client) and client_methods.keys_uri(client):
        client_keys.fetch_if_due(_cache_key(client), renew=refetch)


def fetch_now(client: Client) -> bool:
    """Start a fetch of the keys of *client* for an operator, once per 30 s, also while their server is left alone.

    Returns:
        Whether a fetch is under way.
    """
    key = _cache_key(client)
    client_keys.forget_failures(key)
    prefetch_keys(client, refetch=True)
    return client_keys.is_fetching(key)


@dataclass(frozen=True, slots=True)
class LastFetch:
    """How the last fetches of a key set went.

    Attributes:
        fetched_at: When the keys that are known were asked for; ``None`` if none are.
        failed_at: When a later fetch failed; ``None`` if none did.
        reason: Why it did, in a word.
    """

    fetched_at: datetime | None
    failed_at: datetime | None
    reason: str


def last_fetch(client: Client) -> LastFetch:
    """Return how the last fetches of the keys of *client* went, for an operator to look at."""
    entry = client_keys.last(_cache_key(client))
    return LastFetch(
        fetched_at=datetime.fromtimestamp(entry.fetched_at, UTC) if entry.fetched_at is not None else None,
        failed_at=datetime.fromtimestamp(entry.failed_at, UTC) if entry.failures else None,
        reason=entry.reason,
    )


def known_keys(client: Client) -> Result[KeySet]:
    """Return the keys of *client* as they are known, for an operator to look at. Fetches nothing."""
    given = client_methods.given_keys(client)
    found = Ready(given) if given is not None else client_keys.peek(_cache_key(client))
    if not isinstance(found, Ready):
        return found
    try:
        return Ready(_parse(found.value))
    except TokenRejected as rejected:
        return Failed(rejected.reason)


def _parse(document: object) -> KeySet:
    try:
        return KeySet.from_jwks(document, STRANGERS)
    except KeySetInvalid:
        raise TokenRejected(Reason.KEY_SET) from None


def _fetched(key: str, *, renew: bool) -> Result[Any]:
    found = client_keys.fetch_if_due(key, renew=renew)
    if renew:
        is_done = wait_for(lambda: not client_keys.is_fetching(key), seconds=WAIT)
        return client_keys.peek(key) if is_done else Pending()
    if isinstance(found, Pending):
        settled = wait_for(partial(_settled, key), seconds=WAIT)
        return settled if settled is not None else Pending()
    return found


def _settled(key: str) -> Result[Any] | None:
    found = client_keys.peek(key)
    return None if isinstance(found, Pending) else found


def _cache_key(client: Client) -> str:
    """Return the name of the key set: by who chose its address, as that decides what may be fetched (I14)."""
    uri = client_methods.keys_uri(client)
    if not is_self_registered(client):
        return f"operator {uri}"
    is_of_host = is_of_document(client) and _host_of(client.client_id) == _host_of(uri)
    return f"{'host' if is_of_host else 'stranger'} {uri}"


def _host_of(uri: str) -> str:
    return urlsplit(uri).hostname or ""


def _fetch(key: str) -> Any:
    chosen_by, _, url = key.partition(" ")
    if not FETCHES_OF_HOST.take(f"{chosen_by} {_host_of(url)}"):
        raise SourceFailed("too_many_fetches")
    policy = fetch.OPERATOR if chosen_by == "operator" else fetch.STRANGER
    return published.get_key_set(url, policy)


def _shares(key: str) -> tuple[Share, ...]:
    """Return the parts of the threads that a fetch of a stranger's keys takes. No operator's client waits for it.

    One host has less than all strangers, so that it is in no other stranger's way.
    """
    chosen_by, _, url = key.partition(" ")
    if chosen_by == "operator":
        return ()
    return STRANGERS_SHARE, replace(HOSTS_SHARE, name=f"client keys at {_host_of(url)}")


client_keys: Final = register(CachedFetch("client-keys", _fetch, shares=_shares))
