"""Whom does an operator mean?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q

from django_lazyauth.models import ProviderIdentity

from .resolver import find_users, has_address

#: Accounts that one search looks at.
LIMIT: Final = 50


@dataclass(frozen=True, slots=True)
class People:
    """Who was found.

    Attributes:
        users: Primary keys.
        subjects: What providers call them.
        emails: In lower case.
    """

    users: tuple[Any, ...]
    subjects: tuple[str, ...]
    emails: tuple[str, ...]


def find_people(term: str) -> People:
    """Return the people whom *term* names: a primary key, user name, e-mail address or subject at a provider.

    Addresses are looked up in the accounts at providers first, which have an index for it. The user model of a site may
    have none. It is asked only where nothing else was found. At most four queries.
    """
    if not term.strip():
        # Accounts without an address have an empty one.
        return People((), (), ())
    named = find_users(term, by_address=False)
    of_term = Q(subject=term) | Q(email__in=sorted({term, term.lower()}))
    rows = list(_identities(of_term | Q(user_id__in=named) if named else of_term))
    if not named and not rows and has_address(term):
        named = find_users(term)
        rows = list(_identities(Q(user_id__in=named))) if named else []
    users = dict.fromkeys([*named, *(user_id for user_id, _subject, _email in rows)])
    return People(
        tuple(users),
        tuple(dict.fromkeys([term, *(subject for _user, subject, _email in rows)])),
        tuple(dict.fromkeys([term.lower(), *(email.lower() for _user, _subject, email in rows if email)])),
    )


def _identities(condition: Q) -> Any:
    rows = ProviderIdentity.objects.filter(condition).order_by("pk")
    return rows.values_list("user_id", "subject", "email")[:LIMIT]
