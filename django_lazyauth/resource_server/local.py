"""The issuer of this very site, if it is one: its keys need no HTTP, its people and revocations are in reach.

The app that issues tokens introduces itself when it starts. A site that has only this package never hears of it,
so nothing here imports models, django-oauth-toolkit or a database.
"""

from __future__ import annotations

from typing import Any, Protocol

from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.jose import KeySet


class LocalIssuer(Protocol):
    """What an issuer in the same process offers."""

    def issuer(self) -> str:
        """Return who we are, as tokens name it."""
        ...

    def keys(self) -> KeySet:
        """Return our public keys. No HTTP, no query."""
        ...

    def user_of(self, token: AccessToken) -> Any:
        """Return the user behind a token, not loaded yet; no query. Somebody anonymous for a client's own."""
        ...

    def standing_user_of(self, raw: str, token: AccessToken) -> Any | None:
        """Return the same, loaded, or ``None`` if the token does not stand any more. One query."""
        ...

    def covers(self, audience: str, request_uri: str) -> bool:
        """Say whether *audience* is this site, or a part of it that *request_uri* belongs to (RFC 8707 §2)."""
        ...

    def resource_metadata_url(self, path: str) -> str | None:
        """Return where the metadata of our resource at *path* stands (RFC 9728 §3)."""
        ...


_introduced: list[LocalIssuer] = []


def introduce(issuer: LocalIssuer) -> None:
    """Make the issuer of this process known; called once, when its app is ready."""
    _introduced[:] = [issuer]


def this_issuer() -> LocalIssuer | None:
    """Return the issuer of this process, if it is one."""
    return next(iter(_introduced), None)


def local_issuer(issuer: str) -> LocalIssuer | None:
    """Return the issuer of this process if its identifier is *issuer*."""
    local = this_issuer()
    return local if local is not None and local.issuer() == issuer else None
