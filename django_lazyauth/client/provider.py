"""The server, as one client of it sees it: where tokens are refreshed and revoked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Self

from .answers import ask, read_bundle
from .bundle import Bundle
from .errors import ClientError, NoAnswer, RefreshExpired, RefreshTransient, RefreshUnavailable, TokenRefused
from .record import Account


@dataclass(frozen=True, slots=True)
class Provider:
    """What a refresh needs to know.

    Attributes:
        account: The server's issuer and endpoints, and the id of the client.
        client_secret: For a client that has one. It is not stored.
    """

    account: Account
    client_secret: str | None = field(default=None, repr=False)

    @classmethod
    def at(
        cls, token_endpoint: str, *, issuer: str, client_id: str, client_secret: str | None = None
    ) -> Self:
        """Return a provider whose endpoint is known, without asking for metadata."""
        return cls(Account(issuer, client_id, token_endpoint), client_secret)

    @property
    def client(self) -> tuple[str, str | None]:
        return self.account.client_id, self.client_secret

    def serves(self, account: Account) -> bool:
        """Say whether tokens of *account* are this server's, given to this client."""
        return (account.issuer, account.client_id) == (self.account.issuer, self.account.client_id)

    def refresh(self, bundle: Bundle) -> Bundle:
        """Ask once for new tokens (RFC 6749 §6). Nothing is stored.

        Raises:
            RefreshExpired: ``invalid_grant``.
            RefreshTransient: No answer, or another error. ``reason`` is the server's code, if it sent one.
            RefreshUnavailable: This server cannot refresh, or *bundle* has no refresh token.
        """
        endpoint = self.account.token_endpoint
        if endpoint is None:
            raise RefreshUnavailable("This server refreshes nothing.", reason="unable_provider")
        if bundle.refresh_token is None:
            raise RefreshUnavailable("The server gave no refresh token.", reason="no_refresh_token")
        form = {"grant_type": "refresh_token", "refresh_token": bundle.refresh_token}
        if self.account.resource is not None:
            form["resource"] = self.account.resource
        asked_at = time.time()
        try:
            answer = ask(endpoint, form, client=self.client, key=bundle.proof_key)
            return read_bundle(answer, asked_at, key=bundle.proof_key, old=bundle)
        except TokenRefused as error:
            if error.reason == "invalid_grant":
                raise RefreshExpired("Sign in again.", reason="invalid_grant") from None
            raise RefreshTransient(str(error), reason=error.reason) from None
        except NoAnswer as error:
            raise RefreshTransient(str(error), reason=error.reason) from None

    def revoke(self, bundle: Bundle) -> bool:
        """Revoke the refresh token, and with it the session (RFC 7009). Say whether the server did."""
        endpoint = self.account.revocation_endpoint
        if endpoint is None:
            return False
        is_refresh = bundle.refresh_token is not None
        form = {
            "token": bundle.refresh_token or bundle.access_token,
            "token_type_hint": "refresh_token" if is_refresh else "access_token",
        }
        try:
            ask(endpoint, form, client=self.client)
        except NoAnswer as error:
            # RFC 7009 §2.2: the status is the answer, and the body may be empty.
            return error.reason == "not_json"
        except ClientError:
            return False
        return True
