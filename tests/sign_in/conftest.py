"""Redis, where a Redis is."""

from tests.support.caches import redis_cache

__all__ = ["redis_cache"]
