"""Wait for what another thread or process is doing, by looking at its result in short steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Seconds between two looks.
STEP: Final = 0.05


def wait_for(look: Callable[[], T], *, seconds: float) -> T:
    """Call *look* until it returns something true, *seconds* at most; return what it returned last."""
    ends_at = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < ends_at:
        time.sleep(STEP)
    return found
