"""Log a failure without its data: an exception may quote a secret (I13)."""

from __future__ import annotations

import logging
import traceback


def log_failure(logger: logging.Logger, what: str, error: Exception) -> None:
    """Log the class of *error* and where it was raised, without its text."""
    where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    logger.error("%s: %s\n%s", what, type(error).__name__, where)
