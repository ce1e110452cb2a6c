"""Which clients does an operator mean?"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Q

from django_lazyauth.toolkit import clients

#: Clients that one search finds at most.
LIMIT: Final = 50


def find_clients(term: str) -> list[Any]:
    """Return the keys of the clients that have this id, or *term* in their name."""
    named = clients.get_client_model().objects.filter(Q(client_id=term) | Q(name__icontains=term))
    return list(named.order_by("-pk").values_list("pk", flat=True)[:LIMIT])
