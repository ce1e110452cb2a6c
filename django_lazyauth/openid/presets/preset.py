"""What one preset is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: The usual scopes of OpenID Connect.
OPENID: Final = ("openid", "profile", "email")


@dataclass(frozen=True, slots=True)
class Preset:
    """A well-known provider.

    Attributes:
        checked: Year and month in which the entry was last compared with its sources.
        entry: The keys of a provider.
        note: For ``docs/providers.md``.
    """

    checked: str
    entry: Mapping[str, Any]
    note: str = ""
