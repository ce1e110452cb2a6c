"""No transaction of the host's around a view: its flows open their own, and talk to upstreams in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

View = TypeVar("View", bound=Callable[..., Any])


def outside_transactions(view: View) -> View:
    """Exempt *view* from ``ATOMIC_REQUESTS`` of every database: a router may keep our rows in any of them."""
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view
