"""What ``PROFILE`` asks of a site, where the settings alone would let it be weaker (FAPI 2.0 Security Profile §5).

Not here: the rows that it makes stricter. Each names in the table what it is then (:class:`.setting.Strict`).
"""

from __future__ import annotations

from typing import Final, Literal

from . import kinds
from .setting import FAPI2, Setting, keeps_to_fapi2, raw_settings

Profile = Literal["fapi2"]

#: PKCS #1 v1.5 is not among the algorithms of FAPI 2.0 Security Profile §5.4.1.
WEAK: Final = frozenset({"RS256"})


def is_fapi2() -> bool:
    """Say whether the site keeps to the FAPI 2.0 Security Profile."""
    return keeps_to_fapi2(raw_settings())


def allowed_algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of *names* that the profile of the site leaves."""
    return tuple(name for name in names if name not in WEAK) if is_fapi2() else names


class ProfileRows:
    """Base of :class:`~django_lazyauth.conf.table.LazyAuthSettings`."""

    profile: Setting[Profile | None] = Setting(
        kinds.optional(kinds.choice(FAPI2)),
        "A profile that the whole site keeps to. `fapi2` is the [FAPI 2.0 Security Profile](concepts/fapi.md): it "
        "changes defaults, and refuses weaker values.",
        default=None,
        default_text="none",
    )
