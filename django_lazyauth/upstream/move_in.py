"""Rows of an earlier release get a grant: each when its tokens are renewed, and all with ``rotate_vault_keys``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.errors import ProviderError, SealBroken
from django_lazyauth.models import UpstreamToken
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault.move import to_grant
from django_lazyauth.vault.read import database
from django_lazyauth.vault.tokens import GrantTerms

logger = logging.getLogger("django_lazyauth.vault")

#: Rows of one query.
PAGE: Final = 500


def terms_of(provider: str) -> GrantTerms:
    """Return what the configuration says of grants of *provider*. Of one that is gone or broken, nothing is known."""
    try:
        return get_provider(provider).grant_terms()
    except (ProviderError, ImproperlyConfigured):
        return GrantTerms()


def move_all() -> int:
    """Give each row of an earlier release a grant, while the site runs. Return how many got one.

    A row that is being renewed, or that no key opens, stays as it is.
    """
    return sum(map(_move, _rows()))


def _rows() -> Iterator[tuple[int, str]]:
    rows = UpstreamToken.objects.using(database()).filter(grant=None).order_by("pk")
    last = 0
    while page := list(rows.filter(pk__gt=last).values_list("pk", "provider")[:PAGE]):
        yield from page
        last = page[-1][0]


def _move(row: tuple[int, str]) -> bool:
    pk, provider = row
    try:
        return to_grant(pk, terms_of(provider))
    except SealBroken:
        logger.warning("a row of an earlier release cannot be opened (provider %s)", provider)
        return False
