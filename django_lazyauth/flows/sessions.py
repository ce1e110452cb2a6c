"""End a session: its refresh family, its access tokens and its upstream tokens go together (I2, I11)."""

from __future__ import annotations

from uuid import UUID

from django.db import router, transaction

from django_lazyauth.models import PendingAuthorization
from django_lazyauth.toolkit import families
from django_lazyauth.vault import store


def end_session(session_id: UUID) -> None:
    """Revoke everything that came of one sign-in. After it returns nothing of the session works."""
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        families.revoke(session_id)
        while families.is_alive(session_id):
            # A refresh was under way: it has committed a successor since the family was read. Every member that
            # was seen is locked by now, so this ends.
            families.revoke(session_id)
        store.delete(session_id)


def forget_upstream(session_id: UUID) -> None:
    """Delete the upstream tokens of a session that came to nothing, in the caller's transaction."""
    store.delete(session_id)
