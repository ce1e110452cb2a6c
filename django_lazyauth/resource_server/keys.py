"""The keys of an issuer on another site, fetched once for all processes and kept in the cache.

They are fresh for one hour, and usable for one more while the issuer is down. An unknown key id fetches them again,
at most once per 30 s (I15). So a key rotation at the issuer needs no action here.

Not here: the check of a token (:mod:`.verifier`), and the keys of an issuer in this process (:mod:`.local`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit import fetch
from django_lazyauth.kit.cached_fetch import RENEW_INTERVAL, CachedFetch, register
from django_lazyauth.kit.results import FRESH, Failed, Pending, Ready, Result, SourceFailed
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.openid.key_set import KeySet, KeySetInvalid
from django_lazyauth.openid.published import check_url, get_document, get_key_set

#: Seconds that a request waits for keys that it needs.
WAIT: Final = 4.0


class KeysUnavailable(LazyAuthError):
    """The issuer's keys are not available now, so a token can be neither accepted nor refused."""

    def __init__(self, reason: str, retry_after: int) -> None:
        self.reason = reason
        #: Seconds.
        self.retry_after = retry_after
        super().__init__(reason)


def load(issuer: str, *, jwks_uri: str = "", unknown_kid: bool = False) -> KeySet:
    """Return the keys of *issuer*, fetching them if necessary. Usually one read of the cache.

    Args:
        issuer: Its identifier, which its metadata must repeat (RFC 8414 §3.3).
        jwks_uri: URL of its keys, if not the one in its metadata.
        unknown_kid: A token names a key that is not among them. Fetch them again, unless that was done just now.

    Raises:
        KeysUnavailable: There are none in the cache, and fetching them failed.
    """
    cache_key = f"{issuer} {jwks_uri}"
    found: Result[Any] = key_sets.fetch_if_due(cache_key, renew=unknown_kid)
    if unknown_kid or isinstance(found, Pending):
        found = _wait(cache_key)
    if isinstance(found, Ready):
        return _read(found.value["jwks"])
    raise KeysUnavailable(found.reason if isinstance(found, Failed) else "pending", found.retry_after)


def _wait(cache_key: str) -> Result[Any]:
    """Return what is cached once no fetch is running any more, or after four seconds."""

    def is_done() -> bool:
        key_sets.fetch_if_due(cache_key)
        return not key_sets.is_fetching(cache_key)

    wait_for(is_done, seconds=WAIT)
    return key_sets.peek(cache_key)


@lru_cache(maxsize=64)
def _read(jwks: str) -> KeySet:
    """Parse a document that was checked when it was fetched. Once per content."""
    try:
        return KeySet.from_jwks(json.loads(jwks))
    except (ValueError, KeySetInvalid):  # written by another version of this app
        raise KeysUnavailable("unreadable", 1) from None


# -- fetching ----------------------------------------------------------------------------------------------


def _fetch(cache_key: str) -> dict[str, Any]:
    """Return the cached value: the key set as text, its URL, and when that URL was discovered."""
    issuer, _, jwks_uri = cache_key.partition(" ")
    known = key_sets.peek(cache_key)
    if not jwks_uri and isinstance(known, Ready) and key_sets.clock() < known.value["discovered_at"] + FRESH:
        # The URL was discovered within the hour, so one request is enough.
        try:
            return {**known.value, "jwks": _fetch_keys(known.value["jwks_uri"])}
        except SourceFailed:
            pass  # The keys may have moved to another URL.
    discovered_at = key_sets.clock()
    where = jwks_uri or _discover(issuer)
    return {"jwks": _fetch_keys(where), "jwks_uri": where, "discovered_at": discovered_at}


def _fetch_keys(url: str) -> str:
    return json.dumps(get_key_set(url, fetch.OPERATOR))


def _discover(issuer: str) -> str:
    """Return ``jwks_uri`` of the issuer's metadata, from the URL of RFC 8414 or that of OpenID Connect."""
    failure = SourceFailed("status")
    for url in _metadata_urls(issuer):
        try:
            document = get_document(url, fetch.OPERATOR)
        except SourceFailed as error:
            failure = error
            continue
        return _jwks_uri(document, issuer)
    raise failure


def _metadata_urls(issuer: str) -> tuple[str, ...]:
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def _jwks_uri(document: dict[str, Any], issuer: str) -> str:
    if document.get("issuer") != issuer:
        # RFC 8414 §3.3: it must not be used. Whoever holds the keys of another issuer could sign any token.
        raise SourceFailed("issuer_mismatch")
    return check_url(document.get("jwks_uri"), "jwks_uri")


#: One for all issuers. An issuer that is down is asked again after the same interval as for an unknown key id.
key_sets: Final = register(CachedFetch("issuer-keys", _fetch, longest_backoff=RENEW_INTERVAL))
