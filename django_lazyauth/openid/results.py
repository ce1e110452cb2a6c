"""How an operation ends that needs something of another server: not being there yet is a result, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds until it is worth looking again: a flight takes two round trips.
SOON = 1


@dataclass(frozen=True, slots=True)
class Ready(Generic[T]):
    """Here it is."""

    value: T


@dataclass(frozen=True, slots=True)
class Pending:
    """It is being fetched, or nobody asked for it yet. Look again in ``retry_after`` seconds."""

    retry_after: int = SOON


@dataclass(frozen=True, slots=True)
class Failed:
    """The source failed; ``reason`` is one word. It is left alone for ``retry_after`` seconds."""

    reason: str
    retry_after: int = SOON


Result = Ready[T] | Pending | Failed
