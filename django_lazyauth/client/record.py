"""What stands in the file of one account: everything but the tokens, where a keyring holds those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self, get_args

from .bundle import Bundle
from .errors import StoreUnavailable
from .proof import ProofKey

Known = Literal["unknown", "yes", "no"]
#: ``moving``: the token is in the record, and not in the keyring yet. Only a migration that was killed leaves it.
Storage = Literal["keyring", "file", "moving"]
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Account:
    """Whose tokens these are for a client.

    Attributes:
        issuer: The server that gave them, and the only one that gets them back.
        client_id: The client that they were given to.
        token_endpoint: Where they are refreshed; ``None`` if the server has none.
        revocation_endpoint: Where they are revoked (RFC 7009).
        resource: The resource that they are for (RFC 8707).
    """

    issuer: str
    client_id: str
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One account.

    Attributes:
        name: Of the account.
        account: Whose tokens.
        storage: Where they are.
        has_refresh_token: ``no`` means that nothing in the keyring counts as one.
        tokens: The tokens themselves, unless the keyring holds them.
    """

    name: str
    account: Account
    storage: Storage
    has_refresh_token: Known
    expires_at: float | None = None
    refresh_expires_at: float | None = None
    token_type: str = "Bearer"
    scope: str | None = None
    is_bound: bool = False
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, name: str, account: Account, bundle: Bundle, storage: Storage) -> Self:
        return cls(
            name=name,
            account=account,
            storage=storage,
            has_refresh_token="no" if bundle.refresh_token is None else "yes",
            expires_at=bundle.expires_at,
            refresh_expires_at=bundle.refresh_expires_at,
            token_type=bundle.token_type,
            scope=bundle.scope,
            is_bound=bundle.proof_key is not None,
            tokens={} if storage == "keyring" else _tokens(bundle),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a file.

        Raises:
            StoreUnavailable: It is no record, or one of a later release.
        """
        try:
            members = {name: document[name] for name in cls.__dataclass_fields__}
            record = cls(**{**members, "account": Account(**document["account"])})
            is_sound = document["version"] == _VERSION and (
                record.storage in get_args(Storage) and record.has_refresh_token in get_args(Known)
            )
            ends = (record.expires_at, record.refresh_expires_at)
            is_sound = is_sound and all(isinstance(end, int | float | None) for end in ends)
            is_sound = is_sound and (record.storage == "keyring" or bool(record.tokens["access_token"]))
        except (KeyError, TypeError):
            is_sound = False
        if not is_sound:
            # The cause would show what the file holds.
            raise StoreUnavailable("The record of an account cannot be read.", reason="unreadable") from None
        return record

    def to_document(self) -> dict[str, Any]:
        members = {name: getattr(self, name) for name in self.__dataclass_fields__}
        account = {name: getattr(self.account, name) for name in Account.__dataclass_fields__}
        return {"version": _VERSION, **members, "account": account, "tokens": dict(self.tokens)}

    def bundle(self, tokens: Mapping[str, str | None]) -> Bundle | None:
        """Return the tokens with what is known of them; ``None`` where the access token is gone."""
        access_token, key = tokens.get("access_token"), tokens.get("proof_key")
        if access_token is None or (self.is_bound and key is None):
            return None
        return Bundle(
            access_token=access_token,
            refresh_token=tokens.get("refresh_token"),
            expires_at=self.expires_at,
            refresh_expires_at=self.refresh_expires_at,
            token_type=self.token_type,
            scope=self.scope,
            proof_key=ProofKey.from_text(key) if key is not None else None,
        )

    def without_tokens(self) -> Record:
        """Return the record as it is once the keyring holds the tokens."""
        return replace(self, storage="keyring", tokens={})


def _tokens(bundle: Bundle) -> dict[str, str]:
    key = bundle.proof_key.to_text() if bundle.proof_key is not None else None
    found = {
        "access_token": bundle.access_token,
        "refresh_token": bundle.refresh_token,
        "proof_key": key,
    }
    return {name: text for name, text in found.items() if text is not None}
