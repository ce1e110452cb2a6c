"""Which provider does an earlier deployment mean? It stored a protocol (``oidc``) or another app's id (``google``).

The name of a configured provider always means that provider. Where several providers are possible, the row is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.models import LEGACY_TYPES
from django_lazyauth.providers.registry import configured_issuer, upstream_types

from .report import MigrationStopped, Reason

#: Ids of other apps that name only a protocol.
PROTOCOL_IDS: Final = {"openid_connect": "oidc", "oidc": "oidc", "oauth2": "oauth2"}


class Unmapped(LazyAuthError):
    """The row does not mean exactly one provider."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason)


class Names(Protocol):
    """Turns the provider ids of a source into logical names."""

    def name_of(self, provider_id: str) -> str | None:
        """Return the logical name, or ``None`` for a row that must not be claimed.

        Raises:
            Unmapped: The row should be claimed, but several providers or none are possible.
        """


def chosen_provider(name: str | None) -> str | None:
    """Return *name*, the value of ``--provider``.

    Raises:
        MigrationStopped: No configured upstream provider has this name.
    """
    if name is not None and name not in upstream_types():
        raise MigrationStopped("--provider names no configured provider with an upstream.")
    return name


@dataclass(frozen=True, slots=True)
class TypeNames:
    """For rows that name a protocol: ``oidc``, ``oauth2`` or nothing."""

    chosen: str | None
    types: Mapping[str, str] = field(default_factory=upstream_types)

    def name_of(self, provider_id: str) -> str | None:
        if provider_id not in LEGACY_TYPES:
            return None
        meant = [name for name, kind in self.types.items() if provider_id in ("", kind)]
        if provider_id in self.types and len(meant) > 1:
            # A provider is named "oidc", and there are others of this type: here "oidc" is a logical name.
            return provider_id if self.chosen == provider_id else None
        if self.chosen in meant:
            return self.chosen
        if len(meant) == 1:
            return meant[0]
        raise Unmapped(Reason.PROVIDER_AMBIGUOUS if meant else Reason.PROVIDER_MISSING)

    def renamed_types(self) -> dict[str, str]:
        """Return the types whose identities get another name, each with that name."""
        renamed = {}
        for kind in filter(None, LEGACY_TYPES):
            try:
                name = self.name_of(kind)
            except Unmapped:
                continue
            if name not in (None, kind):
                renamed[kind] = str(name)
        return renamed


@dataclass(frozen=True, slots=True)
class AppNames:
    """For rows of another app, whose ids are names: ``google``, ``openid_connect``.

    Attributes:
        present: The ids in the tables of that app.
    """

    chosen: str | None
    present: Collection[str]
    types: Mapping[str, str] = field(default_factory=upstream_types)

    def name_of(self, provider_id: str) -> str | None:
        if provider_id in self.types:
            return provider_id if self.chosen in (None, provider_id) else None
        others = [other for other in self.present if other not in self.types]
        if self.chosen is not None:
            if len(others) == 1:
                return self.chosen
            raise Unmapped(Reason.PROVIDER_AMBIGUOUS)
        kind = PROTOCOL_IDS.get(provider_id)
        meant = [name for name, its in self.types.items() if its == kind]
        if len(others) == 1 and len(meant) == 1:
            return meant[0]
        raise Unmapped(Reason.PROVIDER_AMBIGUOUS)


def issuer_differs(name: str, issuer: str) -> bool:
    """Say whether *issuer* is known and differs from that of the provider *name* (I19)."""
    if not issuer:
        return False
    configured = configured_issuer(name) if upstream_types().get(name) == "oidc" else ""
    return bool(configured) and issuer.rstrip("/") != configured.rstrip("/")
