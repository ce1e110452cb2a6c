"""The client side: sign in to an OAuth 2.1 server from a program, keep the tokens, and have a fresh one.

Nothing here imports Django or anything else of this package. Install the extra ``client``.
"""

from .auth import LazyAuth
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
from .migrate import Migration, migrate_single_slot
from .provider import Provider
from .record import Account
from .refresh import refresh_access_token
from .sign_in.login import Prompt, login
from .sign_in.registration import DynamicRegistration
from .store import Store

__all__ = [
    "Account",
    "Bundle",
    "ClientError",
    "DiscoveryFailed",
    "DynamicRegistration",
    "LazyAuth",
    "LoginFailed",
    "Migration",
    "Prompt",
    "Provider",
    "RefreshError",
    "RefreshExpired",
    "RefreshTransient",
    "RefreshUnavailable",
    "Store",
    "StoreUnavailable",
    "login",
    "migrate_single_slot",
    "refresh_access_token",
]
