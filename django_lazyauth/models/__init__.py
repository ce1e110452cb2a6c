"""The tables and what can never stand in them. No model opens a transaction of its own."""

from .authorization import DeferredRegistration, PendingAuthorization
from .client import ClientRegistration, ClientSource, InitialAccessToken
from .client_logo import ClientLogo
from .client_session import ClientSession
from .consent import Consent
from .device import DeviceAuthorization, DeviceStatus
from .ending_job import Ending, EndingJob
from .family_grant import FamilyGrant
from .flow_answer import FlowAnswer
from .grant import GrantState, Revocation, UpstreamGrant
from .identity import ProviderIdentity
from .keys import ProviderKeySet
from .lease import NamedLease
from .legacy import LEGACY_TYPES, LegacyUpstreamToken
from .logout import DeliveryState, LogoutDelivery, UsedLogoutToken
from .periodic import Overview, PeriodicRun
from .sign_in_log import Noted, Reason
from .status import GrantKind, Status
from .subject import SubjectIdentifier
from .successor import SealedSuccessor
from .sweep import SweepPosition
from .token_facts import TokenFacts
from .used_proof import ProofKind, UsedProof
from .vault import UpstreamToken

__all__ = [
    "LEGACY_TYPES",
    "ClientLogo",
    "ClientRegistration",
    "ClientSession",
    "ClientSource",
    "Consent",
    "DeferredRegistration",
    "DeliveryState",
    "DeviceAuthorization",
    "DeviceStatus",
    "Ending",
    "EndingJob",
    "FamilyGrant",
    "FlowAnswer",
    "GrantKind",
    "GrantState",
    "InitialAccessToken",
    "LegacyUpstreamToken",
    "LogoutDelivery",
    "NamedLease",
    "Noted",
    "Overview",
    "PendingAuthorization",
    "PeriodicRun",
    "ProofKind",
    "ProviderIdentity",
    "ProviderKeySet",
    "Reason",
    "Revocation",
    "SealedSuccessor",
    "Status",
    "SubjectIdentifier",
    "SweepPosition",
    "TokenFacts",
    "UpstreamGrant",
    "UpstreamToken",
    "UsedLogoutToken",
    "UsedProof",
]
