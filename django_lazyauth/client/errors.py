"""Why a client has no token. No message holds a token, a code or what a server wrote in prose."""

from __future__ import annotations

import re
from typing import Final

#: The characters of an error code (RFC 6749 §5.2), and as many as a message may show.
_CODE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,80}")


class ClientError(Exception):
    """Something that the caller of this package should handle.

    Attributes:
        reason: One word for programs, such as ``busy`` or the error code of the server.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DiscoveryFailed(ClientError):
    """The server has no metadata that can be used (RFC 8414, RFC 9728)."""


class LoginFailed(ClientError):
    """The sign-in ended without tokens. Nothing was stored."""


class StoreUnavailable(ClientError):
    """The keyring or the files cannot be used. What was stored before still is."""


class RefreshError(ClientError):
    """There is no fresh access token. Nothing was written."""


class RefreshExpired(RefreshError):
    """The server no longer takes the refresh token (``invalid_grant``): sign in again."""


class RefreshTransient(RefreshError):
    """It may work later: no answer, an answer that is none, or another process is refreshing."""


class RefreshUnavailable(RefreshError):
    """There is nothing to refresh with: nobody is signed in, or the server gave no refresh token."""


class TokenRefused(ClientError):
    """The server answered with an error (RFC 6749 §5.2). ``reason`` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The server refused: {reason}.", reason=reason)


class NoAnswer(ClientError):
    """There was no answer, or one that is not of OAuth."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The server gave no usable answer: {reason}.", reason=reason)


def error_code(value: object) -> str | None:
    """Return the error code of a server's answer, if it is one that a message may show."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None
