"""Rows and their constraints. Query sets read as sentences; no model opens a transaction of its own."""

from .authorization import DeferredRegistration, PendingAuthorization, Status
from .client import ClientRegistration, ClientSource, InitialAccessToken
from .consent import Consent
from .identity import ProviderIdentity
from .keys import ProviderKeySet
from .legacy import LEGACY_TYPES, LegacyUpstreamToken
from .vault import UpstreamToken

__all__ = [
    "LEGACY_TYPES",
    "ClientRegistration",
    "ClientSource",
    "Consent",
    "DeferredRegistration",
    "InitialAccessToken",
    "LegacyUpstreamToken",
    "PendingAuthorization",
    "ProviderIdentity",
    "ProviderKeySet",
    "Status",
    "UpstreamToken",
]
