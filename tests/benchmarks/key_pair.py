"""The keys that a new site gets: ES256 first, for access tokens; RS256 beside it, for ID tokens of most clients."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from django_lazyauth.tokens.keys import generate_signing_key

from .harness import Side


def with_key_pair(sides: Callable[[], tuple[Side, Side]]) -> Callable[[], tuple[Side, Side]]:
    """Return *sides* of a site that signs with the pair. The peer keeps its RS256 key, which both have."""

    def prepared() -> tuple[Side, Side]:
        pem, _ = generate_signing_key("ES256")
        settings.LAZYAUTH = settings.LAZYAUTH | {"SIGNING_KEYS": [pem, *settings.LAZYAUTH["SIGNING_KEYS"]]}
        return sides()

    return prepared
