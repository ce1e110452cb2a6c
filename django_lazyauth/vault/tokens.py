"""What an upstream granted, in the clear: the tokens, and which session they belong to.

Not here: how they are sealed (:mod:`.cipher`), and how they are stored (:mod:`.store`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.kit.times import known_time


@dataclass(frozen=True, slots=True)
class UpstreamTokens:
    """What a token endpoint granted (RFC 6749 §5.1). Its repr shows no token (I13).

    A time that nobody can have meant, like year 1, becomes ``None``: see :mod:`django_lazyauth.kit.times`.

    Attributes:
        expires_at: Aware time when the access token expires; ``None`` where the upstream did not say.
        refresh_expires_at: The same of the refresh token.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    token_type: str = "Bearer"
    scope: str = ""
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in TIMES:
            object.__setattr__(self, name, known_time(getattr(self, name)))

    def values(self) -> dict[str, Any]:
        """Return the tokens as keyword arguments and column values."""
        return {name: getattr(self, name) for name in TOKEN_FIELDS}

    def as_json(self) -> dict[str, Any]:
        """Return the tokens as JSON: what :meth:`from_json` reads."""
        values = self.values()
        return values | {name: values[name].isoformat() for name in TIMES if values[name]}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> UpstreamTokens:
        """Return the tokens in *document*; other members are ignored."""
        values = {name: document[name] for name in TOKEN_FIELDS}
        times = {name: datetime.fromisoformat(values[name]) for name in TIMES if values[name]}
        return UpstreamTokens(**values | times)

    @sensitive_variables()
    def is_rotated_by(self, answer: UpstreamTokens) -> bool:
        """Say whether *answer* holds a new refresh token, so that ours is spent (RFC 6749 §6)."""
        return answer.refresh_token not in ("", self.refresh_token)

    @sensitive_variables()
    def renewed_by(self, answer: UpstreamTokens) -> Self:
        """Return the tokens after a refresh that gave *answer* (RFC 6749 §6).

        Without a new refresh token the old one stays, with its expiry. A new refresh token never inherits the
        old expiry, and neither does a new access token.
        """
        is_rotated = self.is_rotated_by(answer)
        return replace(
            self,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or self.refresh_token,
            id_token=answer.id_token or self.id_token,
            token_type=answer.token_type,
            scope=answer.scope or self.scope,
            expires_at=answer.expires_at,
            refresh_expires_at=answer.refresh_expires_at if is_rotated else self.refresh_expires_at,
        )

    @sensitive_variables()
    def with_refresh_token(self, refresh_token: str, expires_at: datetime | None) -> Self:
        """Return the same with another refresh token."""
        return replace(self, refresh_token=refresh_token, refresh_expires_at=expires_at)


TOKEN_FIELDS = tuple(one.name for one in fields(UpstreamTokens))
TIMES = ("expires_at", "refresh_expires_at")


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What the configuration of a provider says of what a person grants there.

    Attributes:
        upstream_client: The client id of this site at the upstream.
        is_standing: The grant outlives the person's sign-in there, and their sessions share it. Without a refresh
            token no grant does.
        revocation: What ends at the upstream with a refresh token that is revoked: ``token``, its own family; or
            ``grant``, all that the person allowed this site there. ``none``: nothing is revoked.
        offline_scopes: Those that ask for a refresh token, and for nothing else.
        kept_as: The provider that its grants are kept under, where several share them; empty: itself.
    """

    upstream_client: str = ""
    is_standing: bool = False
    revocation: str = "grant"
    offline_scopes: Sequence[str] = ()
    kept_as: str = ""

    def keeper(self, provider: str) -> str:
        """Return the name that a grant of *provider* is kept under."""
        return self.kept_as or provider


class Binding(NamedTuple):
    """Which bundle. All four are in the query: the wrong client or user finds nothing."""

    session_id: UUID
    provider: str
    user_id: Any
    client_id: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamBundle(UpstreamTokens):
    """The tokens that one upstream granted to one session.

    Attributes:
        version: Counts the rotations; 0 for a bundle that is not stored yet.
        is_dead: The upstream refused the refresh token: only a new sign-in helps.
        upstream_sid: The session there; given when a bundle is stored, and empty in one that was read.
    """

    session_id: UUID
    provider: str
    user_id: Any
    client_id: Any
    subject: str
    version: int = 0
    is_dead: bool = False
    upstream_sid: str = ""

    def is_expired(self, now: datetime | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (now or timezone.now())
