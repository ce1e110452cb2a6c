"""A time that nobody can have meant is unknown, however another system wrote it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.kit.times import EARLIEST, LATEST, NoTime, known_time, read_lifetime, read_time

MEANT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
NOT_MEANT = [
    None,
    "",
    0,
    0.0,
    -0.0,
    "0",
    -1,
    "-1",
    -62_135_596_800,
    "-62135596800",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01 00:00:00",
    "0000-00-00 00:00:00",
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999-12:00",
    "+292277026596-12-04T15:30:07Z",
    "-0001-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    1_700_000_000_000,
    "1700000000000",
    1_700_000_000_000_000_000,
    10**30,
    10**400,
    "9" * 5000,
    1e308,
    "1e308",
    float("inf"),
    float("-inf"),
    float("nan"),
    "NaN",
    "Infinity",
    253_402_300_800,
]


@pytest.mark.parametrize("value", NOT_MEANT, ids=lambda value: repr(value)[:40])
def test_zero_negative_and_far_times_are_unknown(value):
    """Zero of Go, of Unix and of MySQL, milliseconds for seconds, and what JSON can hold."""
    assert read_time(value) is None


@pytest.mark.parametrize(
    "value",
    [
        1_700_000_000,
        1_700_000_000.0,
        "1700000000",
        "1700000000.0",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.000000000Z",
        "2023-11-15T00:13:20+02:00",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20",
    ],
)
def test_a_time_is_read_however_it_is_written(value):
    assert read_time(value) == MEANT


@pytest.mark.parametrize("value", [True, False, [], {}, [1], b"1", "tomorrow", "x" * 5000])
def test_what_is_no_time_is_told_apart_from_an_unknown_one(value):
    with pytest.raises(NoTime):
        read_time(value)


@pytest.mark.parametrize(
    ("value", "seconds"), [(3600, 3600), ("3600", 3600), (0.5, 0.5), ("3599.9", 3599.9), (1, 1)]
)
def test_a_lifetime_may_be_a_text_or_a_float(value, seconds):
    assert read_lifetime(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", [*NOT_MEANT, True, [], {}, "soon", "1h", 10**12])
def test_a_lifetime_that_cannot_be_one_is_unknown(value):
    if value in ("", None) or not isinstance(value, str) or "-" not in value[1:]:
        assert read_lifetime(value) is None


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12)), None])
@pytest.mark.parametrize("value", [datetime.min, datetime.max, datetime(1969, 12, 31), datetime(2200, 1, 2)])
def test_the_ends_of_the_calendar_are_no_times_in_any_zone(value, zone, settings):
    settings.TIME_ZONE = "America/New_York"
    assert known_time(value.replace(tzinfo=zone)) is None


def test_a_naive_time_is_one_of_the_site(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    assert known_time(datetime(2023, 11, 14, 23, 13, 20)) == MEANT


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_whatever_json_holds_leads_to_a_time_that_can_be_reckoned_with(value):
    try:
        found = read_time(json.loads(json.dumps(value)))
    except NoTime:
        return
    assert found is None or EARLIEST < found < LATEST
    read_lifetime(value)
