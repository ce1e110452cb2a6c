"""The lock between refreshing processes: a holder that hangs loses it after 15 s."""

from __future__ import annotations

import os
import time

import pytest

from django_lazyauth.client.files import refreshing


@pytest.mark.slow
@pytest.mark.parametrize(("age", "is_taken"), [(10, False), (16, True)])
def test_a_lock_is_taken_from_who_holds_it_for_more_than_fifteen_seconds(tmp_path, age, is_taken):
    path = tmp_path / "ada.refresh"
    with refreshing(path) as first:
        os.utime(path, (time.time() - age, time.time() - age))
        begun = time.monotonic()
        with refreshing(path) as second:
            assert (first, second) == (True, is_taken)
            assert time.monotonic() - begun < 3
        if is_taken:
            with refreshing(path) as third:
                assert third
    with refreshing(path) as last:
        assert last
