"""When the tokens of other apps expire, as these apps stored it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_lazyauth.legacy.source import Malformed
from django_lazyauth.legacy.sources.social_auth import _tokens as tokens_of

from .rows import from_epoch

ASKED = 1_700_000_000


@pytest.mark.parametrize(
    ("extra", "expires_at"),
    [
        ({"expires_on": ASKED}, from_epoch(ASKED)),
        ({"expires_on": -62_135_596_800}, None),
        ({"expires": ASKED}, from_epoch(ASKED)),
        ({"expires": str(ASKED)}, from_epoch(ASKED)),
        ({"expires": 3600, "auth_time": ASKED}, from_epoch(ASKED) + timedelta(hours=1)),
        ({"expires_in": "3600", "auth_time": ASKED}, from_epoch(ASKED) + timedelta(hours=1)),
        ({"expires_in": 3600.0, "auth_time": str(ASKED)}, from_epoch(ASKED) + timedelta(hours=1)),
        ({"expires_in": 3600}, from_epoch(1)),
        ({"expires_in": 0}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": float("nan"), "auth_time": ASKED}, None),
        ({"expires_in": 1e308, "auth_time": ASKED}, None),
        ({"expires": 1_700_000_000_000}, None),
        ({"expires": None}, None),
        ({}, None),
    ],
)
def test_an_expiry_is_what_social_core_meant_or_unknown(extra, expires_at):
    found = tokens_of({"access_token": "a"} | extra)
    assert found is not None
    assert found.expires_at == expires_at


@pytest.mark.parametrize("extra", [{"expires_on": []}, {"expires": "tomorrow"}, {"expires_on": True}])
def test_what_is_no_time_is_malformed(extra):
    with pytest.raises(Malformed):
        tokens_of({"access_token": "a"} | extra)
