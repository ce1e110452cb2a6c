"""A site that serves devices, and the client of a television."""

from __future__ import annotations

import pytest

from tests.conftest import register
from tests.support.devices import CLIENT_ID, DEVICE_CODE


@pytest.fixture
def television(db, lazyauth):
    """An operator's public client whose only grant is that of devices."""
    lazyauth(DEVICE_FLOW=True)
    return register(
        client_id=CLIENT_ID, name="Television", authorization_grant_type=DEVICE_CODE, redirect_uris=""
    )
