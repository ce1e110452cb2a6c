"""Wait for what another thread or process is doing, by looking at its result in short steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Seconds between the first two looks. It grows to the longest, so that a long wait costs few looks.
STEP: Final = 0.05
LONGEST_STEP: Final = 0.25


def wait_for(look: Callable[[], T], *, seconds: float) -> T:
    """Call *look* until it returns something true, *seconds* at most; return what it returned last."""
    ends_at, step = time.monotonic() + seconds, STEP
    while not (found := look()) and time.monotonic() < ends_at:
        time.sleep(min(step, max(0.0, ends_at - time.monotonic())))
        step = min(step * 1.2, LONGEST_STEP)
    return found
