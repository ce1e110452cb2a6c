"""Say where something of the host's went wrong, and nothing of what it went wrong with."""

from __future__ import annotations

import logging
import traceback

#: Innermost frames that are told.
FRAMES = 3


def log_fault(logger: logging.Logger, what: str, error: Exception) -> None:
    """Log *what* failed, the class of *error* and where; never its text: it may quote what it choked on (I13)."""
    where = "".join(traceback.format_tb(error.__traceback__)[-FRAMES:])
    logger.error("%s: %s\n%s", what, type(error).__name__, where)
