"""How often something may happen: a fixed-window counter on Django's cache.

The counter is as atomic as the cache's ``incr``: local memory, Redis and Memcached count exactly, the
database and file caches may lose a few of many parallel attempts. Keys are keyed digests, so a dump of the cache
shows no address.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from django.core.cache import cache
from django.utils.crypto import salted_hmac

logger = logging.getLogger(__name__)


class Verdict(Enum):
    """What is known of one attempt."""

    WITHIN = "within the limit"
    BEYOND = "beyond the limit"
    #: The cache is down. Nothing is known of the attempt, and it was not counted.
    UNKNOWN = "not counted"


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``limit`` attempts per ``window`` for each key; around a window's edge at most twice that.

    Attributes:
        scope: Name of what is counted; keys of two scopes never meet.
        limit: Attempts that one window allows.
        window: Length of a window. Windows begin at multiples of it, and attempts beyond the limit do not
            prolong them.
        fails_open: The answer while the cache is down. ``True`` where people would be locked out and another
            limit still holds; ``False`` where an attempt harms a third person, for example by a mail.
    """

    scope: str
    limit: int
    window: timedelta
    fails_open: bool = False

    def take(self, key: str) -> bool:
        """Count one attempt and say whether it may go on. For who need not tell why it may not."""
        verdict = self.judge(key)
        return self.fails_open if verdict is Verdict.UNKNOWN else verdict is Verdict.WITHIN

    def judge(self, key: str) -> Verdict:
        """Count one attempt and say whether it is within the limit.

        It counts first, so parallel attempts cannot all pass as the last one allowed.
        """
        name, seconds = self._cache_key(key), self.window.total_seconds()
        try:
            cache.add(name, 0, seconds)
            count = cache.incr(name)
            # Some backends rewrite the value with their default lifetime when they count.
            cache.touch(name, seconds)
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            logger.error("The cache did not count %s: %s", self.scope, type(error).__name__)
            return Verdict.UNKNOWN
        return Verdict.WITHIN if count <= self.limit else Verdict.BEYOND

    def seconds_left(self) -> int:
        """Return the seconds until this window ends, at least one."""
        seconds = self.window.total_seconds()
        return max(1, math.ceil(seconds - time.time() % seconds))

    def give_back(self, key: str) -> None:
        """Undo the count of an attempt that should not count, such as the right password."""
        try:
            cache.decr(self._cache_key(key))
        except ValueError:
            pass  # The window has ended meanwhile.
        except Exception as error:  # noqa: BLE001 - every cache backend raises errors of its own library.
            logger.error("The cache did not uncount %s: %s", self.scope, type(error).__name__)

    def _cache_key(self, key: str) -> str:
        window = int(time.time() // self.window.total_seconds())
        named = salted_hmac(
            "django_lazyauth.kit.throttle", f"{self.scope}\n{window}\n{key}", algorithm="sha256"
        )
        return f"lazyauth:throttle:{named.hexdigest()}"
