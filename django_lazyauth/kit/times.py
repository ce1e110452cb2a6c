"""Which times of other systems are times? One rule for all of them.

Other systems write a time where they have none: Go's zero time (year 1), 0, -1, the year 9999, milliseconds for
seconds. Such a time is unknown, which is ``None``. Arithmetic with it would overflow, or say that a good token expired
in the year 1.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime

#: A time is after the first and before the second.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
#: Seconds of the longest lifetime that is one: ten years.
LONGEST_LIFETIME: Final = 10 * 365 * 24 * 3600

#: ISO 8601 with the year 0, with a sign, or with more than four digits: no ``datetime`` can hold it.
_YEAR_OUT_OF_RANGE: Final = re.compile(r"(0000|[+-]\d{4,}|\d{5,})-\d\d-\d\d")
#: Longer texts are no times and no numbers.
_LONGEST_TEXT: Final = 64


class NoTime(ValueError):
    """The value is neither a number nor the text of a time."""


def known_time(value: datetime | None) -> datetime | None:
    """Return *value* as an aware time, or ``None`` if nobody can have meant it. A naive time is one of this site."""
    # The year first: a time zone cannot be applied to the ends of the calendar.
    if value is None or not EARLIEST.year <= value.year <= LATEST.year:
        return None
    known = timezone.make_aware(value) if value.tzinfo is None else value
    return known if EARLIEST < known < LATEST else None


def read_time(value: Any) -> datetime | None:
    """Return the time in *value*: seconds since 1970, also as a text, or ISO 8601 (UTC if it names no zone).

    Raises:
        NoTime: It is something else.
    """
    if value is None or value == "":
        return None
    seconds = _number(value)
    if seconds is not None:
        is_far = not 0 < seconds < LATEST.timestamp()  # Also for NaN.
        return None if is_far else known_time(datetime.fromtimestamp(seconds, UTC))
    if _YEAR_OUT_OF_RANGE.match(value):
        return None
    try:
        parsed = parse_datetime(value[:_LONGEST_TEXT])
    except ValueError:
        parsed = None
    if parsed is None:
        raise NoTime
    return known_time(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def read_lifetime(value: Any) -> timedelta | None:
    """Return the lifetime in *value*, seconds as a number or a text; ``None`` where it says nothing usable.

    Some upstreams send 0 or a negative number for "it does not expire".
    """
    try:
        seconds = _number(value)
    except NoTime:
        return None
    if seconds is None or not 0 < seconds <= LONGEST_LIFETIME:
        return None
    return timedelta(seconds=seconds)


def _number(value: Any) -> float | None:
    """Return *value* as a number, NaN and infinity included; ``None`` for a text that is no number.

    Raises:
        NoTime: It is neither a number nor a text.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise NoTime
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None
