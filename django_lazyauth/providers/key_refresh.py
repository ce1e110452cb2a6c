"""Keep the stored keys of configured providers fresh: at deploy, by a schedule, or by hand.

It chooses the providers and reports on each.

Not here: how one is refreshed, and that a bad answer never replaces good keys
(:mod:`django_lazyauth.openid.key_fetch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderError
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.openid import key_fetch
from django_lazyauth.openid.descriptor import DescriptorError
from django_lazyauth.openid.key_fetch import Outcome

from .openid import OpenIDProvider
from .registry import get_provider


@dataclass(frozen=True, slots=True)
class Report:
    """The result of the refresh of one provider.

    Attributes:
        provider: Logical name.
        outcome: ``None`` where it failed.
        reason: One word for the failure, or the hint about a wrong configuration; never a secret.
        debug: More, for the operator.
    """

    provider: str
    outcome: Outcome | None
    reason: str = ""
    debug: str = ""

    @property
    def detail(self) -> str:
        return f"{self.reason}: {self.debug}" if self.debug else self.reason

    @property
    def ok(self) -> bool:
        return self.outcome is not None


def refresh_provider(name: str, *, force: bool = False) -> Report:
    """Fetch metadata and keys of one configured OpenID provider, if they are due or *force* is set.

    A failure is reported, not raised. What is stored is kept.
    """
    try:
        return Report(name, key_fetch.refresh(key_fetch.configured_descriptor(name), force=force))
    except KeyError:
        return Report(name, None, "not_configured")
    except DescriptorError as error:
        return Report(name, None, error.hint)
    except SourceFailed as error:
        return Report(name, None, error.reason, error.debug)


def refresh_providers(
    names: Iterable[str] = (), *, force: bool = False, watch: Callable[[int, int], None] | None = None
) -> list[Report]:
    """Refresh *names*, or every configured OpenID provider; a failure does not stop the others.

    Args:
        watch: Is told after each how many were asked, and how many there are.
    """
    asked, reports = list(names) or openid_provider_names(), []
    for name in asked:
        reports.append(refresh_provider(name, force=force))
        if watch:
            watch(len(reports), len(asked))
    return reports


def openid_provider_names() -> list[str]:
    """Return the providers that have keys: enabled, and of type ``oidc``."""
    return [name for name in lazyauth_settings.providers if _has_keys(name)]


def _has_keys(name: str) -> bool:
    try:
        return isinstance(get_provider(name), OpenIDProvider)
    except ProviderError:
        return False
