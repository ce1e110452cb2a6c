"""Which value of an account is the subject under which our sign-in knows the person?

An account under another key would be a second user at the next sign-in: allauth knows people of Microsoft by the ``id``
of Graph, and OpenID Connect by ``sub``, which differs. So an account is taken only if its app stored the claim that we
use, or is known to use that claim as the id. The operator may name the value with ``--subject``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from django_lazyauth.legacy.names import AppNames, Unmapped
from django_lazyauth.legacy.report import MigrationStopped
from django_lazyauth.openid.rules import Documents, Path, Rule, find_subject
from django_lazyauth.providers.registry import subject_rule

#: Rule of ``--subject``: the id of the account itself.
ACCOUNT_ID: Final = "uid"
_RULE: Final = re.compile(r"(?:(?P<provider>[\w.:-]+)=)?(?P<claim>[\w.:/-]+)")


class ForeignSubject(ValueError):
    """The account does not say under which subject our sign-in will know the person."""


@dataclass(frozen=True, slots=True)
class SubjectRules:
    """What the operator named. Provider id of the app → claim; the empty id stands for every other one."""

    claims: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, options: Sequence[str]) -> Self:
        """Return the rules of ``--subject CLAIM`` and ``--subject PROVIDER=CLAIM``.

        Raises:
            MigrationStopped: One has another form, or two are for the same provider.
        """
        claims: dict[str, str] = {}
        for option in options:
            found = _RULE.fullmatch(option)
            if found is None:
                raise MigrationStopped("--subject must be CLAIM or PROVIDER=CLAIM, such as microsoft=uid.")
            if (provider := found["provider"] or "") in claims:
                raise MigrationStopped("--subject may be given once for each provider.")
            claims[provider] = found["claim"]
        return cls(claims)

    def of(self, provider_id: str) -> str:
        return self.claims.get(provider_id) or self.claims.get("", "")


@dataclass(frozen=True, slots=True)
class Subjects:
    """Finds the subject of the accounts of one app."""

    names: AppNames
    rules: SubjectRules

    def find(
        self, uid: Any, claims: Mapping[str, Any], provider_id: str, *, uid_is: Collection[str] | None
    ) -> Any:
        """Return the subject of an account.

        Args:
            uid: The id by which the app knows the account.
            claims: What the app stored about the person.
            uid_is: The claims that *uid* is; ``None`` for a provider of the host's own, which uses the standard one.

        Raises:
            ForeignSubject: No value is known to be our subject.
        """
        if rule := self.rules.of(provider_id):
            return uid if rule == ACCOUNT_ID else _value(claims, rule)
        ours = self._rule_of_ours(provider_id)
        if ours is None:
            return uid  # The row is refused, or not claimed, because of its provider.
        if subject := find_subject(ours, Documents(claims, claims, claims)):
            return subject
        if uid_is is None or _plain_name(ours) in uid_is:
            return uid
        raise ForeignSubject

    def _rule_of_ours(self, provider_id: str) -> Rule | None:
        try:
            name = self.names.name_of(provider_id)
        except Unmapped:
            return None
        return None if name is None else subject_rule(name)


def _plain_name(rule: Rule) -> str | None:
    """Return the claim that *rule* is, if it is one alone."""
    match rule:
        case Path(segments=(str(name),)):
            return name
    return None


def _value(claims: Mapping[str, Any], name: str) -> Any:
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value in (None, ""):
        raise ForeignSubject
    return value
