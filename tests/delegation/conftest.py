from tests.support.upstream import upstream, upstream_process  # noqa: F401
