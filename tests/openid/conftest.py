"""The provider process, for the tests of this folder."""

from tests.support.upstream import upstream, upstream_process

__all__ = ["upstream", "upstream_process"]
