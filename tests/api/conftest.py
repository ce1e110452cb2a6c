"""The provider process, found by discovery, and Redis."""

from tests.support.caches import redis_cache
from tests.support.upstream import sso, upstream, upstream_process

__all__ = ["redis_cache", "sso", "upstream", "upstream_process"]
