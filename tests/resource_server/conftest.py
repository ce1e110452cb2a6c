"""What the tests of tokens have, too."""

from tests.support.strength import signs_in_with  # noqa: F401
from tests.tokens.conftest import machine, pems  # noqa: F401
