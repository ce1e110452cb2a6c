"""What the tests of tokens have, too."""

from tests.tokens.conftest import machine, pems  # noqa: F401
