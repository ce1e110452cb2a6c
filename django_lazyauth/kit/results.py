"""How an operation ends that needs something from another server. "Not there yet" is a result, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django_lazyauth.errors import LazyAuthError

T = TypeVar("T")

#: Seconds until it is worth looking again: a fetch takes two round trips.
SOON = 1


@dataclass(frozen=True, slots=True)
class Ready(Generic[T]):
    """The value is there."""

    value: T


@dataclass(frozen=True, slots=True)
class Pending:
    """It is being fetched, or no fetch was started yet. Look again in ``retry_after`` seconds."""

    retry_after: int = SOON


@dataclass(frozen=True, slots=True)
class Failed:
    """The source failed; ``reason`` is one word. No fetch is started for ``retry_after`` seconds.

    Attributes:
        debug: More, for the operator only.
    """

    reason: str
    retry_after: int = SOON
    debug: str = ""


Result = Ready[T] | Pending | Failed


class SourceFailed(LazyAuthError):
    """Another server gave nothing that can be used; ``reason`` is one word, safe to log and to show.

    Attributes:
        debug: More, for the operator only.
    """

    def __init__(self, reason: str, *, debug: str = "") -> None:
        self.reason = reason
        self.debug = debug
        super().__init__(reason)

    @property
    def detail(self) -> str:
        """The reason, and what is said to the operator beside it."""
        return f"{self.reason}: {self.debug}" if self.debug else self.reason
