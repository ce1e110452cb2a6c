"""Which clients does an operator mean?"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Q

from django_lazyauth.toolkit import clients

#: Clients that one search finds at most.
LIMIT: Final = 50


def find_clients(term: str, *, by_name: bool = True) -> list[Any]:
    """Return the keys of the clients that have this id, or *term* in their name.

    Args:
        by_name: Whether to look into names, which have no index.
    """
    by_id = Q(client_id=term)
    named = clients.get_client_model().objects.filter(by_id | Q(name__icontains=term) if by_name else by_id)
    return list(named.order_by("-pk").values_list("pk", flat=True)[:LIMIT])
