"""Nonces that no process has to remember (RFC 9449 §8): an HMAC of the minute. Pure."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Final

#: Seconds of one step.
STEP: Final = 60
#: Steps in which a nonce is good: this one and four earlier.
STEPS: Final = 5
_BYTES: Final = 16


def nonce_at(key: bytes, now: float) -> str:
    """Return the nonce of the step of *now*, in seconds since 1970. Who has no *key* can guess none."""
    return _nonce(key, int(now) // STEP)


def is_good(nonce: str, keys: Sequence[bytes], now: float) -> bool:
    """Say whether *nonce* was made with one of *keys* in this step or one of the four before.

    The step to come counts too: the process that made it may have a clock that is ahead of ours.
    """
    step = int(now) // STEP
    sent = nonce.encode(errors="replace")
    ages = range(-1, STEPS)
    return any(hmac.compare_digest(_nonce(key, step - age).encode(), sent) for key in keys for age in ages)


def _nonce(key: bytes, step: int) -> str:
    made = hmac.digest(key, step.to_bytes(8, "big"), "sha256")[:_BYTES]
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
