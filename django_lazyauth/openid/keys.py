"""Where are the keys of a configured provider? Persisted, so that sign-in works while the provider is down.

``load`` reads one row and never fetches. ``refresh`` fetches; a failing or empty answer keeps the stored keys. Of all
processes together, one fetches for an unknown key id per 30 s (I15), and one does a scheduled refresh. A conditional
UPDATE decides which one.

Not here: keys of domains found by discovery (:mod:`.discovery`), and transactions. Each write is one statement.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from django.db import router
from django.db.models import F, Q
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit import fetch
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect

from . import published
from .descriptor import ProviderDescriptor, descriptor_from_settings
from .key_set import KeySet, KeySetInvalid
from .verify import matches_issuer

logger = logging.getLogger("django_lazyauth.openid")

#: Bounds of a key set's ``max-age``, and its default.
SHORTEST_MAX_AGE: Final = timedelta(minutes=1)
LONGEST_MAX_AGE: Final = timedelta(hours=1)
DEFAULT_MAX_AGE: Final = timedelta(minutes=15)
#: After the n-th failure in a row: 60 s × 2ⁿ⁻¹, at most 15 min.
FIRST_BACKOFF: Final = timedelta(seconds=60)
LONGEST_BACKOFF: Final = timedelta(minutes=15)
#: Between two fetches for an unknown key id, across all processes (I15).
UNKNOWN_KID_INTERVAL: Final = timedelta(seconds=30)
#: Seconds that a request waits for the fetch of another one.
WAIT: Final = 2.0
#: How long a scheduled refresh belongs to the process that started it.
CLAIM: Final = timedelta(seconds=60)

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)


class Outcome(enum.Enum):
    """The result of a refresh that did not fail."""

    #: New keys or metadata were stored.
    STORED = "stored"
    #: The provider said that nothing changed.
    UNCHANGED = "unchanged"
    #: Nothing was due, or another process is refreshing.
    SKIPPED = "skipped"


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


# --- Reading ----------------------------------------------------------------------------------------------


def load(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Return what is stored of the provider; ``None`` before the first successful refresh. One SELECT.

    A row of another issuer is ignored: the configuration changed, and its keys are those of the other issuer.
    """
    row = _select(router.db_for_write(ProviderKeySet)).get(descriptor.name)
    if row is None or row.issuer != descriptor.issuer or row.fetched_at is None:
        return None
    try:
        keys = KeySet.from_jwks(row.jwks)
    except KeySetInvalid:
        return None
    return StoredProvider(row.configuration, keys, row.fetched_at, row.method_found)


@cache
def _select(using: str) -> PreparedSelect[ProviderKeySet]:
    """Every sign-in reads the row, and compiling the query takes most of the time."""
    return PreparedSelect(ProviderKeySet.objects.using(using).filter(pk=ASKED_FOR))


def load_or_fetch(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Return what is stored. If nothing is, fetch it, or wait up to 2 s for the process that is fetching it."""
    stored = load(descriptor)
    if stored is not None:
        return stored
    try:
        refresh(descriptor)
    except SourceFailed:
        return None
    return wait_for(lambda: load(descriptor), seconds=WAIT)


def refresh_for_unknown_kid(descriptor: ProviderDescriptor) -> StoredProvider | None:
    """Fetch the key set because a token names an unknown key, unless that was done in the last 30 s.

    Of all callers in all processes, one fetches per 30 s (I15). Callers that come during its fetch wait for it, 2 s
    at most. The others get what is stored.
    """
    now = timezone.now()
    rows = ProviderKeySet.objects.filter(pk=descriptor.name)
    is_ours = rows.filter(
        Q(unknown_kid_at__isnull=True) | Q(unknown_kid_at__lte=now - UNKNOWN_KID_INTERVAL)
    ).update(unknown_kid_at=now)
    if is_ours:
        try:
            _refresh_keys(descriptor, rows.get())
        except SourceFailed as failure:
            logger.warning(
                "keys of %s: unknown key id, and no new keys (%s)", descriptor.name, failure.reason
            )
        return load(descriptor)
    claimed_at = rows.values_list("unknown_kid_at", flat=True).first()
    if claimed_at is not None and now - claimed_at < timedelta(seconds=WAIT):
        wait_for(lambda: rows.filter(fetched_at__gte=claimed_at).exists(), seconds=WAIT)
    return load(descriptor)


# --- Refreshing -------------------------------------------------------------------------------------------


def configured_descriptor(name: str) -> ProviderDescriptor:
    """Return the descriptor of a provider in the settings.

    Raises:
        KeyError: Not configured, or disabled.
        DescriptorError: Configured wrongly.
    """
    mapping = lazyauth_settings.providers[name]
    if mapping.get("enabled", True) is False:
        raise KeyError(name)
    return descriptor_from_settings(name, mapping)


def refresh(descriptor: ProviderDescriptor, *, force: bool = False) -> Outcome:
    """Fetch metadata and keys if they are due, and store them if they are good.

    Args:
        descriptor: The provider.
        force: Fetch although nothing is due, and although the last fetch failed.

    Raises:
        SourceFailed: The fetch failed. What is stored is kept, and the next try is postponed.
    """
    now = timezone.now()
    # A new row is due at once, and so is one of another issuer.
    ProviderKeySet.objects.bulk_create(
        [ProviderKeySet(provider=descriptor.name, issuer=descriptor.issuer, next_refresh_at=now)],
        ignore_conflicts=True,
    )
    rows = ProviderKeySet.objects.filter(pk=descriptor.name)
    rows.exclude(issuer=descriptor.issuer).update(
        issuer=descriptor.issuer,
        configuration={},
        jwks={},
        etag="",
        last_modified="",
        fetched_at=None,
        next_refresh_at=now,
        failures=0,
    )
    due = Q() if force else Q(next_refresh_at__lte=now)
    if not rows.filter(due).update(next_refresh_at=now + CLAIM):
        return Outcome.SKIPPED
    try:
        configuration = _fetch_configuration(descriptor)
        return _fetch_and_store_keys(descriptor, rows.get(), configuration)
    except SourceFailed as failure:
        _postpone(descriptor, failure)
        raise


def _refresh_keys(descriptor: ProviderDescriptor, row: ProviderKeySet) -> Outcome:
    """Fetch the key set only, from the URL in the stored metadata: one request."""
    if row.fetched_at is None or row.issuer != descriptor.issuer:
        return refresh(descriptor)
    return _fetch_and_store_keys(descriptor, row, row.configuration)


def _fetch_and_store_keys(
    descriptor: ProviderDescriptor, row: ProviderKeySet, configuration: Mapping[str, Any]
) -> Outcome:
    started_at = timezone.now()
    jwks_uri = descriptor.jwks_uri or str(configuration.get("jwks_uri", ""))
    is_same_source = (descriptor.jwks_uri or row.configuration.get("jwks_uri")) == jwks_uri
    conditions = _conditions(row) if is_same_source else {}
    response = published.get(jwks_uri, fetch.OPERATOR, max_bytes=fetch.KEY_SET_LIMIT, headers=conditions)
    values: dict[str, Any] = {
        "configuration": dict(configuration),
        "fetched_at": started_at,
        "next_refresh_at": started_at + max_age(response.headers.get("cache-control", "")),
        "failures": 0,
    }
    unchanged = response.status == 304 and bool(conditions)
    if not unchanged:
        values["jwks"] = published.public_key_set(response)
        values["etag"] = _validator(response, "etag", 255)
        values["last_modified"] = _validator(response, "last-modified", 64)
    # A slow answer never overwrites that of a request which started later.
    ProviderKeySet.objects.filter(
        Q(fetched_at__isnull=True) | Q(fetched_at__lt=started_at),
        pk=descriptor.name,
        issuer=descriptor.issuer,
    ).update(**values)
    return Outcome.UNCHANGED if unchanged else Outcome.STORED


def _postpone(descriptor: ProviderDescriptor, failure: SourceFailed) -> None:
    rows = ProviderKeySet.objects.filter(pk=descriptor.name)
    failures = rows.values_list("failures", flat=True).first() or 0
    rows.update(failures=F("failures") + 1, next_refresh_at=timezone.now() + backoff(failures + 1))
    logger.warning("keys of %s: refresh failed (%s)", descriptor.name, failure.reason)


def backoff(failures: int) -> timedelta:
    """Return the time until the next fetch after so many failures in a row."""
    return min(FIRST_BACKOFF * (1 << min(max(failures - 1, 0), 10)), LONGEST_BACKOFF)


def max_age(cache_control: str) -> timedelta:
    """Return how long a key set is fresh (RFC 9111 §5.2.2.1): one minute to one hour."""
    found = _MAX_AGE.search(cache_control)
    if found is None:
        return DEFAULT_MAX_AGE
    return min(max(timedelta(seconds=int(found.group(1))), SHORTEST_MAX_AGE), LONGEST_MAX_AGE)


# --- Documents --------------------------------------------------------------------------------------------


def _fetch_configuration(descriptor: ProviderDescriptor) -> dict[str, Any]:
    """Return the members of the metadata document that are kept (OpenID Connect Discovery §4).

    Raises:
        SourceFailed: There is no document, it names another issuer (§4.3), or an endpoint must not be used.
    """
    if (
        all(getattr(descriptor, name) for name in published.REQUIRED_MEMBERS)
        and not descriptor.openid_configuration
    ):
        return {}
    document = published.get_document(descriptor.configuration_url, fetch.OPERATOR)
    issuer = document.get("issuer")
    if not isinstance(issuer, str) or not _is_issuer_of(descriptor, issuer):
        raise SourceFailed("issuer_mismatch")
    return {"issuer": issuer} | published.read_metadata(document, descriptor)


def _is_issuer_of(descriptor: ProviderDescriptor, issuer: str) -> bool:
    if descriptor.placeholders:
        return any(matches_issuer(name, issuer) for name in descriptor.issuers)
    return issuer in descriptor.issuers


def _conditions(row: ProviderKeySet) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110 §13.1)."""
    conditions = {}
    if row.etag:
        conditions["If-None-Match"] = row.etag
    if row.last_modified:
        conditions["If-Modified-Since"] = row.last_modified
    return conditions


def _validator(response: fetch.Response, name: str, limit: int) -> str:
    value = response.headers.get(name, "")
    return value if len(value) <= limit and value.isascii() and value.isprintable() else ""
