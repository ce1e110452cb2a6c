"""The row behind a code while it is redeemed: read and locked, with everything that the exchange needs to know.

Not here: what is written then (``grants/authorization_code.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connections, router
from django.db.models import OuterRef, Subquery
from django.db.transaction import TransactionManagementError

from .authorization import DeferredRegistration, PendingAuthorization
from .fields import digest
from .identity import ProviderIdentity
from .prepared_select import ASKED_FOR, PreparedSelect

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


#: What an exchange reads of the row, of the registration of its client, and of what was deferred. Each column more
#: costs the database and the driver time. Django loads the rest when it is asked for.
READ = (
    *("status", "grant", "client_id", "provider", "user_id", "identity_id", "private", "failed_attempts"),
    *("redirect_uri", "scope", "resource", "nonce", "code_challenge", "code_expires_at", "prompt", "jkt"),
    *("binding_digest", "auth_time", "amr", "acr", "asked_again_at"),
)
READ_OF_REGISTRATION = ("client_id", "source", "metadata", "disabled_at", "expires_at", "last_used_at")
READ_OF_DEFERRED = ("provider", "subject", "upstream_sid", "commit", "created_at")


@dataclass(frozen=True, slots=True)
class LockedCode:
    """What one SELECT found behind a code.

    Attributes:
        pending: The locked row, spent or not. Its ``client`` is loaded with it, and the client's registration.
        deferred: What is still to be written; ``None`` where nothing is.
        known_identity_id: The identity of the deferred person, if somebody registered that person since.
        identity_user_id: Whom the identity belongs to that the person signed in with; ``None`` if it is not known, or
            was disconnected since.
    """

    pending: PendingAuthorization
    deferred: DeferredRegistration | None
    known_identity_id: int | None
    identity_user_id: Any

    @property
    def user(self) -> AbstractBaseUser | None:
        """Who signed in; ``None`` while that person is not written yet."""
        return self.pending.user


def lock_code(code: str) -> LockedCode | None:
    """Return the row behind *code*, locked until commit. One query.

    Raises:
        TransactionManagementError: No transaction is open that could hold the lock.
    """
    using = router.db_for_write(PendingAuthorization)
    if not connections[using].in_atomic_block:
        raise TransactionManagementError("A code is locked until commit: open a transaction first.")
    found = _select(using).get_annotated(digest(code))
    if found is None:
        return None
    pending, known = found
    return LockedCode(pending, getattr(pending, "deferred", None), *known)


@cache
def _select(using: str) -> PreparedSelect[PendingAuthorization]:
    """Each exchange runs it, so it is compiled once (benchmark "exchange, public client")."""
    person = ProviderIdentity.objects.filter(
        provider=OuterRef("deferred__provider"), subject=OuterRef("deferred__subject")
    )
    identity = ProviderIdentity.objects.filter(pk=OuterRef("identity_id"))
    lock = connections[using].features.has_select_for_update_of
    return PreparedSelect(
        PendingAuthorization.objects.using(using)
        .select_for_update(of=("self",) if lock else ())
        .annotate(
            known_identity_id=Subquery(person.values("pk")[:1]),
            identity_user_id=Subquery(identity.values("user_id")[:1]),
        )
        .filter(code_digest=ASKED_FOR),
        only=READ,
        related={
            "client": None,
            "client__lazyauth_registration": READ_OF_REGISTRATION,
            "user": None,
            "deferred": READ_OF_DEFERRED,
        },
        annotations=("known_identity_id", "identity_user_id"),
    )
