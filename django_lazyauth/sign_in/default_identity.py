"""Which of a user's provider accounts is the default one: the one that they last signed in with on purpose.

The account page and the identities API list it first. Only a sign-in at the provider changes it. An existing session,
``prompt=none``, a connected account of a chain and every refresh leave it alone. Before the first such sign-in it is
the oldest account.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity


def promote(user: AbstractBaseUser, identity: Identity) -> None:
    """Make the account of *identity* the default one of *user*, in the caller's transaction.

    One query where it is the default already, or where the person signed in with a local password.
    """
    accounts = ProviderIdentity.objects.filter(user_id=user.pk)
    chosen = accounts.filter(provider=identity.provider, subject=identity.subject)
    if not chosen.filter(is_default=False).exists():
        return
    # Locked in one order: of two concurrent sign-ins the later one wins, and neither fails.
    list(accounts.select_for_update().order_by("pk").values_list("pk", flat=True))
    accounts.filter(is_default=True).update(is_default=False)
    chosen.update(is_default=True)
