"""People who sign in more and less strongly."""

from tests.support.strength import signs_in_with  # noqa: F401
