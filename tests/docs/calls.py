"""Record which functions of the package run, in the order of their first calls."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import django_lazyauth

PACKAGE = str(Path(django_lazyauth.__file__).parent) + "/"


@contextmanager
def recorded() -> Iterator[dict[str, None]]:
    """Fill a dict, whose order is that of the first calls, with ``room/module.py: Class.function``.

    Threads that start inside the block are recorded too.
    """
    calls: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            calls.setdefault(f"{code.co_filename.removeprefix(PACKAGE)}: {code.co_qualname}")

    before = sys.getprofile()
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
