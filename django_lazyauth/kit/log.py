"""Tell a log that something failed, and nothing of what it failed on."""

from __future__ import annotations

import logging
import traceback


def log_failure(logger: logging.Logger, what: str, error: Exception) -> None:
    """Log where it went wrong, without the error's text: an exception may quote what it choked on (I13)."""
    where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    logger.error("%s: %s\n%s", what, type(error).__name__, where)
