"""The pages about providers are checked against a running one."""

from tests.support.upstream import upstream, upstream_process  # noqa: F401
