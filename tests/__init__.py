"""Tests of django-lazyauth. A helper that asserts says what it saw, as a test does."""

import sys
from pathlib import Path

# Before any of them is imported. Not for a server of the tests, which runs without pytest.
if pytest := sys.modules.get("pytest"):
    pytest.register_assert_rewrite(
        *(f"{__name__}.{path.name}" for path in Path(__file__).parent.iterdir() if path.is_dir())
    )
