"""The fixture ``signs_in_with``: how strongly, and how long ago, the next people sign in upstream.

A test folder that wants it says in its ``conftest.py``: ``from tests.support.strength import signs_in_with``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.support.providers import BelievingProvider


@pytest.fixture
def signs_in_with(monkeypatch):
    """Call it before somebody signs in: ``signs_in_with(acr="urn:example:mfa", ago=400)``."""
    how = {}
    complete = BelievingProvider.complete

    def stating(self, request, pending, private):
        return replace(complete(self, request, pending, private), **how)

    monkeypatch.setattr(BelievingProvider, "complete", stating)

    def pull(*, acr: str = "", ago: int = 0) -> None:
        how.update(acr=acr, auth_time=timezone.now() - timedelta(seconds=ago))

    return pull
