"""How many examples a property is tried with: all of them where LAZYAUTH_THOROUGH=1, as in ``.ci/run``."""

from __future__ import annotations

import os


def examples(thorough: int) -> int:
    """Return *thorough*, or a quarter of it for a quick run on a developer's machine."""
    return thorough if os.environ.get("LAZYAUTH_THOROUGH") == "1" else max(10, thorough // 4)
