"""Imported for what it does: ``httpx`` waits as long as the tests, because five seconds are short on a busy machine."""

from __future__ import annotations

from httpx._config import DEFAULT_TIMEOUT_CONFIG

from .processes import PATIENCE

DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = PATIENCE
