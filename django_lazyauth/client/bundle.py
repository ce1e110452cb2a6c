"""What a sign-in gave a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from .proof import ProofKey


@dataclass(frozen=True, slots=True)
class Bundle:
    """The tokens of one account.

    Attributes:
        access_token: For the header of a request.
        refresh_token: ``None`` if there is none, or if it was not read.
        expires_at: Seconds since the epoch; ``None`` if the server did not say.
        refresh_expires_at: The same of the refresh token.
        token_type: ``Bearer`` or ``DPoP``.
        scope: As the server granted it, if it said so.
        proof_key: The key that the tokens are bound to (RFC 9449).
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    refresh_expires_at: float | None = None
    token_type: str = "Bearer"
    scope: str | None = None
    proof_key: ProofKey | None = field(default=None, repr=False)

    @property
    def rotating(self) -> tuple[str, str | None, float | None, float | None]:
        """The four fields of which a refresh changes at least one."""
        return self.access_token, self.refresh_token, self.expires_at, self.refresh_expires_at


def is_due(expires_at: float | None, now: float, skew: float) -> bool:
    """Say whether a token ends within *skew* seconds. A token whose end is unknown is never due."""
    return expires_at is not None and expires_at - now <= skew
