"""Which clients does an operator mean?

On PostgreSQL the names of clients have an index by how they begin (migration 0037). Inside of names, redirect URIs and
ids one looks while there are few clients: that reads all of them.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Q

from django_lazyauth.toolkit import clients

#: Clients that one search finds at most.
LIMIT: Final = 50
#: Clients that a search reads one by one.
FEW: Final = 1000


def are_few() -> bool:
    """Say whether a search may read every client."""
    keys = clients.get_client_model().objects.order_by("pk").values_list("pk", flat=True)
    return not keys[FEW : FEW + 1]


def find_clients(term: str, *, by_name: bool = True) -> list[Any]:
    """Return the keys of the client with this id, or else of those with *term* in their names.

    At the beginning of their names if there are many clients.

    Args:
        by_name: Whether to look at names, where no client has this id.
    """
    # Without an order: for the newest, the database would read the clients backwards until it has found enough.
    rows = clients.get_client_model().objects.order_by()
    found = list(rows.filter(client_id=term).values_list("pk", flat=True))
    if found or not by_name:
        return found
    named = Q(name__icontains=term) if are_few() else Q(name__istartswith=term)
    return list(rows.filter(named).values_list("pk", flat=True)[:LIMIT])


def find_among_many(term: str) -> Q:
    """Return the condition for clients that *term* names where there are too many to look inside of anything.

    By the beginning of the name or id, or the whole network.
    """
    rows = clients.get_client_model().objects
    of_id = rows.filter(client_id__startswith=term).order_by().values_list("pk", flat=True)[:LIMIT]
    of_network = rows.filter(**{f"{clients.REGISTRATION}__network": term}).order_by()
    found = {*find_clients(term), *of_id, *of_network.values_list("pk", flat=True)[:LIMIT]}
    return Q(pk__in=sorted(found))
