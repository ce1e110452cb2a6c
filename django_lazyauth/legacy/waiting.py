"""What of earlier deployments waits, and what nobody will read: the answers of the hooks.

Nothing reads legacy rows on a request. While some wait, their sessions would have to sign in again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from django.core.cache import cache
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router, transaction

from django_lazyauth.models import UpstreamToken

from .migrate import identities_remain, tokens_left, tokens_remain
from .sources.table import MANY

#: The cache key that notes that no identity waits, and its lifetime in seconds: the query reads every identity.
SETTLED: Final = "lazyauth:legacy-identities-settled"
SETTLED_SECONDS: Final = 60
#: The cache key of the number of rows that nobody will read. It is kept as long.
LEFT: Final = "lazyauth:legacy-tokens-left"

CHECK_IDS: Final = {"tokens": "lazyauth.W070", "identities": "lazyauth.W071"}


def check(app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn while rows of earlier deployments wait, and about those that nobody will read."""
    using = router.db_for_write(UpstreamToken)
    if using not in (databases or ()):
        return []
    try:
        with transaction.atomic(using=using):
            waits = {"tokens": tokens_remain(), "identities": identities_remain()}
            left = tokens_left()
    except (DatabaseError, ImproperlyConfigured):
        return []  # Before the first migrate there is no table. Unreadable settings are E003.
    found: list[CheckMessage] = [
        CheckWarning(
            f"Legacy {kind} wait to be migrated: nothing reads them on a request.",
            hint="Run manage.py migrate_legacy_tokens (see docs/upgrading.md).",
            id=check_id,
        )
        for kind, check_id in CHECK_IDS.items()
        if waits[kind]
    ]
    if left:
        found.append(
            CheckWarning(
                f"{_in_words(left)} legacy tokens name a provider, and not a protocol: nothing will ever read them.",
                hint="manage.py migrate_legacy_tokens does not claim them. Delete them from LegacyUpstreamToken.",
                id="lazyauth.W072",
            )
        )
    return found


def _in_words(left: int) -> str:
    return f"{MANY:,} or more" if left >= MANY else f"{left:,}"


def identities_wait() -> bool:
    """Say whether identities wait. While none does, the database is asked at most once a minute.

    The readiness endpoint is public, so a stranger could ask as often as they like.
    """
    try:
        if cache.get(SETTLED):
            return False
    except Exception:  # noqa: BLE001 - each cache has errors of its own; without a cache it only takes longer
        return identities_remain()
    if identities_remain():
        return True
    with suppress(Exception):
        cache.set(SETTLED, True, SETTLED_SECONDS)
    return False


def kept_tokens_left() -> int:
    """Return how many rows nobody will read. The database is asked at most once a minute, for the same reason."""
    try:
        kept = cache.get(LEFT)
    except Exception:  # noqa: BLE001 - each cache has errors of its own; without a cache it only takes longer
        return tokens_left()
    if isinstance(kept, int):
        return kept
    left = tokens_left()
    with suppress(Exception):
        cache.set(LEFT, left, SETTLED_SECONDS)
    return left
