"""People who sign in more and less strongly, and a provider that runs as a process of its own."""

from tests.support.strength import signs_in_with  # noqa: F401
from tests.support.upstream import upstream, upstream_process  # noqa: F401
