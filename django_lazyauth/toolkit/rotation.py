"""Whether DOT revokes a refresh token now because it replaces it: who hears of the revocation asks this.

Apart from the validator that says so, because DOT's validator imports requests and jwcrypto.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_ROTATING: Final[ContextVar[bool]] = ContextVar("django_lazyauth_rotating", default=False)


def is_rotating() -> bool:
    """Say whether DOT revokes a refresh token now because it replaces it. The session goes on then."""
    return _ROTATING.get()


@contextmanager
def rotating() -> Iterator[None]:
    """Let :func:`is_rotating` know while the block runs."""
    before = _ROTATING.set(True)
    try:
        yield
    finally:
        _ROTATING.reset(before)
