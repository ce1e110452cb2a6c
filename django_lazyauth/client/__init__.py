"""The client side: sign in to an OAuth 2.1 server from a program, keep the tokens, and have a fresh one.

Nothing here imports Django or anything else of this package. Install the extra ``client``.
"""

from .bundle import Bundle
from .errors import (
    ClientError,
    DiscoveryFailed,
    LoginFailed,
    RefreshError,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
    StoreUnavailable,
)
from .provider import Provider
from .record import Account
from .refresh import refresh_access_token
from .store import Store

__all__ = [
    "Account",
    "Bundle",
    "ClientError",
    "DiscoveryFailed",
    "LoginFailed",
    "Provider",
    "RefreshError",
    "RefreshExpired",
    "RefreshTransient",
    "RefreshUnavailable",
    "Store",
    "StoreUnavailable",
    "refresh_access_token",
]
