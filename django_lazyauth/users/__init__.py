"""Which user belongs to an identity, and what of the user follows it?"""

from .resolver import (
    UserResolver,
    find_users,
    inactive_among,
    needs_address,
    placeholder_for,
    username_for,
)

__all__ = [
    "UserResolver",
    "find_users",
    "inactive_among",
    "needs_address",
    "placeholder_for",
    "username_for",
]
