"""Fetch the metadata and keys of a configured provider, and store them if they are good.

A failing or empty answer keeps what is stored. Of all processes together one refreshes: a conditional UPDATE decides
which one, and what it started is over after :data:`CLAIM` although the process was killed.

Not here: when what is stored is fresh enough (:mod:`.stored_keys`), and transactions. Each write is one statement.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeGuard

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit import fetch
from django_lazyauth.kit.background import Threads, send_task
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.models import ProviderKeySet

from . import published
from .descriptor import DescriptorError, ProviderDescriptor, descriptor_from_settings
from .verify import matches_issuer

logger = logging.getLogger("django_lazyauth.openid")

#: Bounds of a key set's ``max-age``, and its default.
SHORTEST_MAX_AGE: Final = timedelta(minutes=1)
LONGEST_MAX_AGE: Final = timedelta(hours=1)
DEFAULT_MAX_AGE: Final = timedelta(minutes=15)
#: After the n-th failure in a row: 60 s × 2ⁿ⁻¹, at most 15 min.
FIRST_BACKOFF: Final = timedelta(seconds=60)
LONGEST_BACKOFF: Final = timedelta(minutes=15)
#: How long a refresh belongs to the process that started it. It takes 10 s at most.
CLAIM: Final = timedelta(seconds=60)
#: The Celery task.
TASK: Final = "django_lazyauth.refresh_provider"

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)

#: What does not fit into the queue is started by a later request.
_threads = Threads("keys", threads=4, queue=32)


class Outcome(enum.Enum):
    """The result of a refresh that did not fail."""

    #: New keys or metadata were stored.
    STORED = "stored"
    #: The provider said that nothing changed.
    UNCHANGED = "unchanged"
    #: Nothing was due, or another process is refreshing.
    SKIPPED = "skipped"


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


def rows_of(descriptor: ProviderDescriptor) -> QuerySet[ProviderKeySet]:
    """Return the row of a provider as a query."""
    return ProviderKeySet.objects.filter(pk=descriptor.name)


# --- Refreshing -------------------------------------------------------------------------------------------


def refresh(descriptor: ProviderDescriptor, *, force: bool = False) -> Outcome:
    """Fetch metadata and keys if they are due, and store them if they are good.

    Args:
        descriptor: The provider.
        force: Fetch although nothing is due, and although the last fetch failed.

    Raises:
        SourceFailed: The fetch failed. What is stored is kept, and the next try is postponed.
    """
    return _refresh_claimed(descriptor) if _claim(descriptor, force=force) else Outcome.SKIPPED


def start(descriptor: ProviderDescriptor, *, force: bool = False, in_thread: bool = False) -> None:
    """Refresh in the background if it is due and no other process does it already. Never raises or waits.

    Args:
        descriptor: The provider.
        force: Although nothing is due, and although the last fetch failed.
        in_thread: Somebody waits for it, so that no worker must find time first.
    """
    if not _claim(descriptor, force=force):
        return
    if lazyauth_settings.discovery_runner == "celery" and not in_thread:
        try:
            send_task(TASK, (descriptor.name,), lifetime=CLAIM.total_seconds())
        except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library.
            logger.error("Celery took no refresh of %s: %s", descriptor.name, type(error).__name__)
        else:
            return
    if not _threads.submit(partial(_finish, descriptor)):
        logger.error("refresh of %s: too many are waiting in this process", descriptor.name)


def run(name: str) -> None:
    """Run the refresh that :func:`start` handed to a worker. A failure is in the log and in the row."""
    try:
        _finish(configured_descriptor(name))
    except (KeyError, DescriptorError):
        logger.error("refresh of %s: it is not configured in this worker", name)


def _finish(descriptor: ProviderDescriptor) -> None:
    # A failure was logged and noted where it was raised.
    with suppress(SourceFailed):
        _refresh_claimed(descriptor)


def _claim(descriptor: ProviderDescriptor, *, force: bool) -> bool:
    """Say whether the refresh is due and ours."""
    now = timezone.now()
    # A new row is due at once, and so is one of another issuer.
    ProviderKeySet.objects.bulk_create(
        [ProviderKeySet(provider=descriptor.name, issuer=descriptor.issuer, next_refresh_at=now)],
        ignore_conflicts=True,
    )
    rows = rows_of(descriptor)
    rows.exclude(issuer=descriptor.issuer).update(
        issuer=descriptor.issuer,
        configuration={},
        jwks={},
        etag="",
        last_modified="",
        fetched_at=None,
        fresh_until=None,
        next_refresh_at=now,
        refreshing_until=None,
        failures=0,
        last_error="",
        last_error_at=None,
        notes=[],
        method_found="",
    )
    is_free = Q(refreshing_until__isnull=True) | Q(refreshing_until__lte=now)
    due = Q() if force else Q(next_refresh_at__lte=now) & is_free
    return bool(rows.filter(due).update(refreshing_until=now + CLAIM))


def _refresh_claimed(descriptor: ProviderDescriptor) -> Outcome:
    try:
        configuration, notes = _fetch_configuration(descriptor)
        return _fetch_and_store(descriptor, rows_of(descriptor).get(), configuration, notes)
    except SourceFailed as failure:
        _postpone(descriptor, failure)
        raise


def fetch_keys(descriptor: ProviderDescriptor) -> None:
    """Fetch the key set only, from the URL in the stored metadata: one request, and not a conditional one.

    What is stored could not verify a token, so the source is not asked whether it changed. Metadata and keys become
    due when they would have without this fetch.

    Raises:
        SourceFailed: The fetch failed. What is stored is kept.
    """
    row = rows_of(descriptor).get()
    if row.fetched_at is None or row.issuer != descriptor.issuer:
        refresh(descriptor)
    else:
        _fetch_and_store(descriptor, row, None)


def _fetch_and_store(
    descriptor: ProviderDescriptor,
    row: ProviderKeySet,
    configuration: Mapping[str, Any] | None,
    notes: Sequence[str] = (),
) -> Outcome:
    """Fetch and store the keys, with *configuration* where that was fetched before."""
    started_at = timezone.now()
    stored_uri = descriptor.jwks_uri or row.configuration.get("jwks_uri", "")
    jwks_uri, conditions = stored_uri, {}
    values: dict[str, Any] = {"fetched_at": started_at}
    if configuration is not None:
        jwks_uri = descriptor.jwks_uri or configuration.get("jwks_uri", "")
        conditions = _conditions(row) if jwks_uri == stored_uri else {}
        values |= {"configuration": dict(configuration), "notes": list(notes)}
    age, is_unchanged = DEFAULT_MAX_AGE, False
    if not descriptor.fetches_keys:
        # If the entry gives none later, a token will name an unknown key, which has them fetched.
        values |= {"jwks": {"keys": []}, "etag": "", "last_modified": ""}
    else:
        age, keys = _fetch_key_set(descriptor, jwks_uri, conditions)
        is_unchanged = not keys
        values |= keys
    if configuration is not None:
        values |= {"fresh_until": started_at + age, "next_refresh_at": started_at + age}
        values |= {"refreshing_until": None, "failures": 0}
    # A slow answer never overwrites that of a request which started later.
    is_newest = Q(fetched_at__isnull=True) | Q(fetched_at__lt=started_at)
    rows = rows_of(descriptor).filter(issuer=descriptor.issuer)
    if not rows.filter(is_newest).update(**values) and configuration is not None:
        rows.update(refreshing_until=None)
    return Outcome.UNCHANGED if is_unchanged else Outcome.STORED


def _fetch_key_set(
    descriptor: ProviderDescriptor, url: str, conditions: Mapping[str, str]
) -> tuple[timedelta, dict[str, Any]]:
    """Return how long the key set is fresh, and what is stored of it; nothing if it did not change."""
    policy = published.policy_of(descriptor)
    response = published.get(url, policy, max_bytes=published.limits_of(policy).octets, headers=conditions)
    age = max_age(response.headers.get("cache-control", ""))
    if response.status == 304 and conditions:
        return age, {}
    return age, {
        "jwks": published.public_key_set(response, policy, url),
        "etag": _validator(response, "etag", 255),
        "last_modified": _validator(response, "last-modified", 64),
    }


def _postpone(descriptor: ProviderDescriptor, failure: SourceFailed) -> None:
    rows, now = rows_of(descriptor), timezone.now()
    failures = rows.values_list("failures", flat=True).first() or 0
    rows.update(
        failures=F("failures") + 1,
        next_refresh_at=now + backoff(failures + 1),
        refreshing_until=None,
        last_error=failure.reason[:32],
        last_error_at=now,
    )
    logger.warning("keys of %s: refresh failed (%s)", descriptor.name, failure.detail)


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


def _fetch_configuration(descriptor: ProviderDescriptor) -> tuple[dict[str, Any], list[str]]:
    """Return the members of the metadata document that are kept, and notes (OpenID Connect Discovery §4).

    Raises:
        SourceFailed: There is no document, it names another issuer (§4.3), or an endpoint must not be used.
    """
    if (
        all(published.is_configured(descriptor, name) for name in published.REQUIRED_MEMBERS)
        and not descriptor.openid_configuration
    ):
        return {}, []
    document = published.get_document(descriptor.configuration_url, published.policy_of(descriptor))
    issuer = document.get("issuer")
    if not is_issuer_of(issuer, descriptor):
        raise SourceFailed("issuer_mismatch")
    members, notes = published.read_metadata(document, descriptor)
    return {"issuer": issuer} | members, notes


def is_issuer_of(issuer: object, descriptor: ProviderDescriptor) -> TypeGuard[str]:
    """Say whether metadata that name *issuer* are those of the provider (OpenID Connect Discovery §4.3)."""
    if not isinstance(issuer, str):
        return False
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
