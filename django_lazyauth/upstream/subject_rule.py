"""Were the identities of a provider made with the rule that its entry has now?

The provider's row keeps the rules with which people signed in. With another one everybody would become a second
user, so nobody is sent there until the entry names the earlier rule in ``legacy_subjects``, or has it back.

Not here: how people are found by an earlier subject (``sign_in/deferred``). Nothing is kept of SSO domains, whose
rule no stranger can change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.models import ProviderIdentity, ProviderKeySet
from django_lazyauth.openid.descriptor import SSO_PREFIX, ProviderDescriptor
from django_lazyauth.openid.rules import written
from django_lazyauth.providers.base import Provider
from django_lazyauth.providers.code_flow import CodeFlow
from django_lazyauth.providers.openid import OpenIDProvider

WAY_OUT: Final = (
    '"subject" changed, and people have accounts by the earlier rule: '
    'name that one in "legacy_subjects", or put it back'
)


def rule_of(provider: Provider) -> Any:
    """Return what names the people of *provider*, as its row keeps it; nothing for a provider without such a rule."""
    if not isinstance(provider, CodeFlow) or provider.name.startswith(SSO_PREFIX):
        return None
    return written(provider.descriptor.subject)


def require_known(provider: Provider) -> None:
    """Refuse a provider whose rule would not find its people. One query while the rule is the same.

    Raises:
        ProviderUnavailable: ``misconfigured``.
    """
    if has_changed(provider):
        raise ProviderUnavailable("misconfigured", stage="configuration", debug=WAY_OUT)


def kept_rules(names: Iterable[str]) -> dict[str, Any]:
    """Return the rules that are kept of these providers, by name."""
    rows = ProviderKeySet.objects.filter(pk__in=list(names))
    return {name: rules or [] for name, rules in rows.values_list("pk", "subject_rules")}


def has_changed(provider: Provider, kept: Any = None) -> bool:
    """Say whether identities were made with a rule that the entry names no more.

    Args:
        kept: Of :func:`kept_rules`; ``None``: it is read.
    """
    rule = rule_of(provider)
    if rule is None or not isinstance(provider, CodeFlow):
        return False
    kept = kept_rules([provider.name]).get(provider.name, []) if kept is None else kept
    if all(_is_covered(earlier, provider.descriptor) for earlier in kept):
        return False
    name = provider.accounts if isinstance(provider, OpenIDProvider) else provider.name
    if ProviderIdentity.objects.filter(provider=name).exists():
        return True
    ProviderKeySet.objects.filter(pk=provider.name).update(subject_rules=[])
    return False


def _is_covered(earlier: Any, descriptor: ProviderDescriptor) -> bool:
    """Say whether whoever was named by *earlier* is found: by the same value, or as an earlier subject."""
    rule = written(descriptor.subject)
    if earlier == rule:
        return True
    finds = [rule[0] if isinstance(rule, list) else rule]
    for one in map(written, descriptor.people.legacy_subjects):
        finds += one if isinstance(one, list) else [one]
    return all(one in finds for one in (earlier if isinstance(earlier, list) else [earlier]))
