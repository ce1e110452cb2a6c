"""How an operation ends that needs something from another server. "Not there yet" is a result, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django_lazyauth.errors import LazyAuthError

T = TypeVar("T")

#: Seconds until it is worth looking again: a fetch takes two round trips.
SOON = 1
#: Seconds for which a value is fresh, and for which it is then returned while it is fetched anew.
FRESH: Final = 3600
STALE: Final = 3600
#: Seconds after which a fetch counts as abandoned. It takes 10 s at most.
FETCH_LIMIT: Final = 120


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


# -- what a cache of such operations remembers (:mod:`.cached_fetch`) --------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """The record of one source.

    Attributes:
        value: JSON; only with ``fetched_at``.
        fetched_at: When the fetch of ``value`` started, in seconds.
        failures: In a row, since the last success.
        failed_at: When the last of them ended.
    """

    value: Any = None
    fetched_at: float | None = None
    failures: int = 0
    failed_at: float = 0
    reason: str = ""

    def is_usable(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + FRESH + STALE

    def is_fresh(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + FRESH


@dataclass(frozen=True, slots=True)
class Running:
    """A fetch that was started. An answer is written only with the token of the current one."""

    token: str
    started_at: float

    def is_abandoned(self, now: float) -> bool:
        return now >= self.started_at + FETCH_LIMIT
