"""May this person of a provider sign in here, and who were they earlier?

Not here: who they are (:mod:`django_lazyauth.openid.verify`), and what they are told.
"""

from __future__ import annotations

from typing import Any

from django_lazyauth.openid.provider_kinds import IDENTIFIER_LIMIT, is_a
from django_lazyauth.openid.rules import Documents, Path, Rule, find, find_subject, is_one_of, paths_of

from .keys import STANDARD_FIELDS, People


def refusing_key(people: People, documents: Documents, tenant: str = "") -> str:
    """Return the key that keeps a person out: ``allow`` or ``tenants``; empty where they may sign in."""
    if people.tenants and tenant not in people.tenants:
        return "tenants"
    if not all(_holds(path, values, documents) for path, values in people.allow):
        return "allow"
    return ""


def misses_a_path(people: People, documents: Documents) -> bool:
    """Say whether *documents* do not have what ``allow`` looks at."""
    return any(_value(path, documents) is None for path, _ in people.allow)


def misses_a_wish(people: People, documents: Documents) -> bool:
    """Say whether UserInfo could have what *documents* do not: of ``groups``, ``user_fields`` and ``keep_claims``.

    The standard names of ``user_fields`` are no wish: where the ID token has the name, it has what belongs to it.
    """
    named = [rule for name, rule in people.user_fields if (name, rule) not in STANDARD_FIELDS]
    if people.groups is not None:
        named.append(people.groups)
    return any(_is_missing(rule, documents) for rule in (*named, *(path for _, path in people.keep_claims)))


def _is_missing(rule: Rule, documents: Documents) -> bool:
    """Say whether *rule* finds nothing, and looks at something that UserInfo may hold."""
    looks_there = any(path.source in ("", "userinfo") for path in paths_of(rule))
    return looks_there and next(find(rule, documents), None) is None


def _holds(path: Path, values: tuple[str | int | bool, ...], documents: Documents) -> bool:
    found = _value(path, documents)
    return any(is_one_of(values, one) for one in (found if is_a(found, list) else [found]))


def _value(path: Path, documents: Documents) -> Any:
    """Return the first value: the word of the ID token counts, also where UserInfo has another."""
    first = next(find(path, documents), None)
    return None if first is None else first.value


def earlier_subjects(people: People, documents: Documents, tenant: str = "") -> tuple[str, ...]:
    """Return what the subject of a person may have been, the preferred one first.

    With tenants also without the tenant, as other software keeps it. ``tenants`` says then whose word counts.
    """
    found = [subject for rule in people.legacy_subjects if (subject := find_subject(rule, documents))]
    if tenant:
        found = [name for subject in found for name in (f"{tenant}:{subject}", subject)]
    return tuple(name for name in dict.fromkeys(found) if len(name) <= IDENTIFIER_LIMIT)


def who_of(documents: Documents) -> tuple[str, str]:
    """Return subject and e-mail address as the provider said them; empty where it did not. For operators."""
    subject, email = (
        next(
            (found.value for found in find(Path("", (name,)), documents) if isinstance(found.value, str)), ""
        )
        for name in ("sub", "email")
    )
    return subject, email
