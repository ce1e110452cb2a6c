"""The issuer on this site, if there is one: its keys need no HTTP, and its users are in this database.

The app that issues tokens registers itself here when it starts. Nothing here imports a model or
django-oauth-toolkit, so that a site without that app can use this package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from django_lazyauth.openid.access_token import AccessToken
    from django_lazyauth.openid.key_set import KeySet


class LocalIssuer(Protocol):
    """The interface of an issuer in the same process."""

    def issuer(self) -> str:
        """Return the issuer identifier, as in ``iss``; empty if it is not configured."""
        ...

    def keys(self) -> KeySet:
        """Return the public keys. No HTTP, no query."""
        ...

    def user_of(self, token: AccessToken) -> Any:
        """Return the user of a token, not loaded yet; no query. A client's own token has an anonymous user."""
        ...

    def standing_user_of(self, raw: str, token: AccessToken) -> Any | None:
        """Return the same, loaded; ``None`` if the token was revoked. One query."""
        ...

    def covers(self, audience: str, request_uri: str) -> bool:
        """Return whether *audience* is this site, or a part of it that contains *request_uri* (RFC 8707 §2)."""
        ...

    def resource_metadata_url(self, path: str) -> str | None:
        """Return the URL of the metadata of the resource at *path* (RFC 9728 §3)."""
        ...


_introduced: list[Callable[[], LocalIssuer]] = []


def introduce(make_issuer: Callable[[], LocalIssuer]) -> None:
    """Register what makes the issuer of this process. Its app calls this once, when it is ready."""
    _introduced[:] = [cache(make_issuer)]


def this_issuer() -> LocalIssuer | None:
    """Return the issuer of this process, if it is one."""
    return _introduced[0]() if _introduced else None


def local_issuer(issuer: str) -> LocalIssuer | None:
    """Return the issuer of this process if its identifier is *issuer*."""
    local = this_issuer()
    return local if local is not None and local.issuer() == issuer else None
