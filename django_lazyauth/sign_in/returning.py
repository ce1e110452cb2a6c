"""What is kept of a person's account at a provider is written anew at each sign-in with it.

The account becomes their default one, too: the account page and the identities API list it first. Only a sign-in at the
provider changes that. An existing session, ``prompt=none``, a connected account of a chain and every refresh leave it
alone. Before the first such sign-in it is the oldest account.

Always in the transaction that signs in or exchanges.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity
from django_lazyauth.signals import identity_updated

from .deferred import Taken


def rewrite(link: ProviderIdentity, identity: Identity, *, session_id: UUID, seen_at: datetime) -> None:
    """Let *link* say what the provider says now, and send ``identity_updated`` if that is something else.

    One UPDATE. An exchange may come after a later sign-in, whose word then stays.

    Raises:
        Taken: The account was disconnected at this moment.
    """
    if link.seen_at is not None and link.seen_at > seen_at:
        return
    said = _said_now(link, identity)
    changed = {name for name, value in said.items() if value != (getattr(link, name) or type(value)())}
    # All of it: a concurrent sign-in may have changed another part, and half of each would be nobody's word.
    values = {**said, "seen_at": seen_at} if changed else {"seen_at": seen_at}
    if not ProviderIdentity.objects.filter(pk=link.pk).update(**values):
        raise Taken
    for name, value in values.items():
        setattr(link, name, value)
    if changed:
        identity_updated.send(
            sender=type(link), user=link.user, identity=link, changed=changed, session_id=session_id
        )


def _said_now(link: ProviderIdentity, identity: Identity) -> dict[str, Any]:
    """Return the columns that the provider decides.

    Where it was not heard out, what is missing is as it was. A name is told once by some providers, so it stays too.
    """
    kept = dict(identity.kept)
    email, email_verified = identity.email, identity.email_verified
    if identity.is_partial:
        kept = {**(link.claims or {}), **kept}
        if not email:
            email, email_verified = link.email, link.email_verified
    return {
        "email": email,
        "email_verified": email_verified,
        "name": identity.name or link.name,
        "claims": kept,
    }


def promote(link: ProviderIdentity) -> None:
    """Make *link* the default account of its user, in the caller's transaction. No query where it is that already."""
    if link.is_default:
        return
    accounts = ProviderIdentity.objects.filter(user_id=link.user_id)
    # Locked in one order: of two concurrent sign-ins the later one wins, and neither fails.
    list(accounts.select_for_update().order_by("pk").values_list("pk", flat=True))
    accounts.filter(is_default=True).update(is_default=False)
    accounts.filter(pk=link.pk).update(is_default=True)
    link.is_default = True
