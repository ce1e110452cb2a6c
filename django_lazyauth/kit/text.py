"""What text may hold before a database or a URL sees it."""

from __future__ import annotations

import re

#: NUL and lone surrogates.
BAD_CHARACTERS = re.compile(r"[\x00\ud800-\udfff]")


def has_bad_characters(value: str) -> bool:
    """Say whether a value holds NUL or lone surrogates, which no database and no URL can."""
    return BAD_CHARACTERS.search(value) is not None
