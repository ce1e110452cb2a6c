"""Whom does an operator mean?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
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
    have none. It is asked only where no user with this address was found: whom a provider gives it may be somebody else
    (I6). At most four queries.
    """
    if not term.strip():
        # Accounts without an address have an empty one.
        return People((), (), ())
    named = find_users(term, by_address=False)
    of_term = Q(subject=term) | Q(email__in=sorted({term, term.lower()}))
    rows = list(_identities(of_term | Q(user_id__in=named) if named else of_term))
    is_owned = any((address or "").lower() == term.lower() for *_account, address in rows)
    if not named and not is_owned and has_address(term):
        named = find_users(term)
        rows += _identities(Q(user_id__in=named)) if named else []
    users = dict.fromkeys([*named, *(user_id for user_id, *_account in rows)])
    return People(
        tuple(users),
        tuple(dict.fromkeys([term, *(subject for _user, subject, *_emails in rows)])),
        tuple(
            dict.fromkeys(
                [term.lower(), *(email.lower() for _user, _subject, email, _address in rows if email)]
            )
        ),
    )


def _identities(condition: Q) -> Any:
    """Return of each account its user, subject and address, and the address that the user model has."""
    rows = ProviderIdentity.objects.filter(condition).order_by("pk")
    address = f"user__{get_user_model().get_email_field_name()}" if has_address("@") else "email"
    return rows.values_list("user_id", "subject", "email", address)[:LIMIT]
