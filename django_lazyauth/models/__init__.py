"""Rows and their constraints. Query sets read as sentences; no model opens a transaction of its own."""

from .authorization import DeferredRegistration, PendingAuthorization, Status
from .consent import Consent
from .identity import ProviderIdentity
from .keys import ProviderKeySet
from .vault import UpstreamToken

__all__ = [
    "Consent",
    "DeferredRegistration",
    "PendingAuthorization",
    "ProviderIdentity",
    "ProviderKeySet",
    "Status",
    "UpstreamToken",
]
