"""Which of a user's provider accounts is the default one: the one that they last signed in with on purpose.

The account page and the identities API list it first. Only a sign-in at the provider changes it. An existing session,
``prompt=none``, a connected account of a chain and every refresh leave it alone. Before the first such sign-in it is
the oldest account.
"""

from __future__ import annotations

from django_lazyauth.models import ProviderIdentity


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
