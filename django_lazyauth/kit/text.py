"""Texts that cannot be used: with characters that no database and no URL can hold, or addresses that reach nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

BAD_CHARACTERS = re.compile(r"[\x00\ud800-\udfff]")
#: Ends names that no mail and no request ever reaches (RFC 2606 §2).
INVALID: Final = ".invalid"


def has_bad_characters(value: str) -> bool:
    """Say whether *value* holds NUL or a lone surrogate."""
    return "\0" in value or not (value.isascii() or BAD_CHARACTERS.search(value) is None)


def are_sound(values: Iterable[str], *, max_length: int) -> bool:
    """Say whether each of *values* has at most *max_length* characters and none that are bad."""
    return all(len(value) <= max_length and not has_bad_characters(value) for value in values)


def is_undeliverable(address: str) -> bool:
    """Say whether *address* was made up where a person has none."""
    return address.lower().endswith(INVALID)
