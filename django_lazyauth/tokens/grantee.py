"""For whom and how far tokens are issued: the value that a grant hands to :mod:`.issue`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

from django_lazyauth.openid.jose import Reason, TokenRejected, context_class, methods, seconds
from django_lazyauth.toolkit.models import RefreshToken

from .host.claims import IssuedFor

#: Where the row of an authorization request says how its person signed in.
HOW: Final = ("auth_time", "amr", "acr")


@dataclass(frozen=True, slots=True)
class Authentication:
    """How and when the person signed in, as far as it is known (RFC 9068 §2.2.1)."""

    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""

    @classmethod
    def of_columns(
        cls, auth_time: datetime | None = None, amr: list[str] | None = None, acr: str | None = None
    ) -> Self:
        """Return what the columns :data:`HOW` say; nothing is known where there is no row."""
        return cls(auth_time, tuple(amr or ()), acr or "")

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any]) -> Self:
        """Return what :meth:`claims` wrote into a token. Values of another form are ignored."""
        try:
            auth_time = datetime.fromtimestamp(seconds(claims.get("auth_time"), Reason.AUTH_TIME), UTC)
        except TokenRejected:
            auth_time = None
        return cls(auth_time, methods(claims.get("amr")), context_class(claims.get("acr")))

    def claims(self) -> dict[str, Any]:
        """Return the claims of what is known."""
        claims: dict[str, Any] = {}
        if self.auth_time:
            claims["auth_time"] = int(self.auth_time.timestamp())
        if self.amr:
            claims["amr"] = list(self.amr)
        if self.acr:
            claims["acr"] = self.acr
        return claims


@dataclass(frozen=True, slots=True)
class Granted:
    """What the person allowed a session: each of its tokens is for all of it or for a part (RFC 6749 §6, I20).

    Attributes:
        resources: Empty for this site itself.
    """

    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grantee:
    """For whom and how far.

    Attributes:
        user: ``None`` for a client that acts for itself.
        subject: What the client calls the user; empty for a client that acts for itself.
        scopes: Of the access token, in the order of the response.
        resources: The audience of the access token (RFC 8707). It is empty for this site itself.
        granted_resources: Those of the session. The refresh token keeps them, however narrow the access token is.
        session_id: The session that begins or continues; ``None`` for a client that acts for itself.
        nonce: The client's, of its authorization request.
        email_verified: Whether the user's address is. It is read only where the scopes have ``email``.
        has_refresh_token: Whether a refresh token is issued too.
        jkt: Thumbprint of the key that the access token is bound to (RFC 9449 §6.1); empty for a bearer token.
        source: The refresh token that was used; ``None`` for another grant.
        is_offline: Whether the client may have the refresh token, if it registered for it.
        act: Who acts for the user (RFC 8693 §4.1); ``None`` where the client does, in a session of its own.
        not_after: When the access token expires at the latest; ``None`` where nothing but the settings bounds it.
        issued_token_type: What the response calls it (RFC 8693 §2.2.1); empty where no other kind could be meant.
    """

    client: Any
    user: Any | None
    scopes: tuple[str, ...]
    subject: str = ""
    resources: tuple[str, ...] = ()
    granted_resources: tuple[str, ...] = ()
    session_id: UUID | None = None
    authentication: Authentication = Authentication()
    nonce: str = field(default="", repr=False)
    email_verified: bool = False
    has_refresh_token: bool = False
    jkt: str = ""
    source: RefreshToken | None = None
    is_offline: bool = True
    act: Mapping[str, Any] | None = None
    not_after: datetime | None = None
    issued_token_type: str = ""

    @property
    def issued_for(self) -> IssuedFor:
        """What functions of the host are given."""
        return IssuedFor(
            self.user, self.client.client_id, frozenset(self.scopes), self.resources, self.session_id
        )

    @property
    def has_id_token(self) -> bool:
        """Whether an ID token is issued too (OpenID Connect Core §3.1.3.3). Who acts for a person gets none."""
        return self.user is not None and "openid" in self.scopes and self.act is None

    @property
    def scope(self) -> str:
        """The ``scope`` of the response (RFC 6749 §5.1)."""
        return " ".join(self.scopes)
