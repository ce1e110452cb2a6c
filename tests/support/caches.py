"""Redis as Django's cache, where a Redis is: each run has a prefix of its own and cleans up behind itself."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

REDIS_URL = os.environ.get("LAZYAUTH_TEST_REDIS_URL", "redis://127.0.0.1:6379/5")


def redis_caches(prefix: str | None = None) -> dict:
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": prefix or f"lazyauth-test-{uuid4().hex}",
        }
    }


def require_redis() -> None:
    """Skip where there is no Redis."""
    try:
        import redis

        redis.Redis.from_url(REDIS_URL, socket_connect_timeout=2).ping()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not there.
        pytest.skip(f"the Redis service is not there: {type(error).__name__}")


@pytest.fixture
def redis_cache(settings):
    """Django's default cache on Redis; what the test wrote is deleted."""
    require_redis()
    settings.CACHES = redis_caches()
    prefix = settings.CACHES["default"]["KEY_PREFIX"]
    yield prefix
    forget(prefix)


def forget(prefix: str) -> None:
    import redis

    client = redis.Redis.from_url(REDIS_URL)
    names = list(client.scan_iter(f"{prefix}*", count=1000))
    if names:
        client.delete(*names)
    client.close()
