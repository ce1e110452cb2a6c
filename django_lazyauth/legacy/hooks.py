"""How this room takes part in the site: a system check, readiness probes and a count, registered when the app starts.

What they need is imported when they are first asked (``waiting``): a start needs nothing of the migration.
"""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Tags, register

from django_lazyauth.kit.readiness import register_count, register_probe


def register_hooks() -> None:
    """Register the check and the probes; the app config calls it once."""
    register(check_legacy_rows, Tags.database)
    register_probe("legacy_tokens", _tokens_wait)
    register_probe("legacy_identities", _identities_wait)
    register_count("legacy_tokens", _tokens_left)


def check_legacy_rows(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn while rows of earlier deployments wait, and about those that nobody will read."""
    from .waiting import check

    return check(app_configs, **kwargs)


def _tokens_wait() -> bool:
    from .migrate import tokens_remain

    return tokens_remain()


def _identities_wait() -> bool:
    from .waiting import identities_wait

    return identities_wait()


def _tokens_left() -> int:
    from .waiting import kept_tokens_left

    return kept_tokens_left()
