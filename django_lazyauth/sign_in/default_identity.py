"""Which of a person's provider accounts stands for them: the one that they last chose to sign in with.

Only a sign-in at the provider changes it. Being signed in here already, ``prompt=none``, a connected account of a
chain, and every refresh leave it alone: nothing that happens silently speaks for the person.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity


def promote(user: AbstractBaseUser, identity: Identity) -> None:
    """Make the account of *identity* the default one of *user*, in the caller's transaction.

    One query where it is already, or where the person signed in without an account (a local password).
    """
    accounts = ProviderIdentity.objects.filter(user_id=user.pk)
    chosen = accounts.filter(provider=identity.provider, subject=identity.subject)
    if not chosen.filter(is_default=False).exists():
        return
    # Locked in one order: of two sign-ins at once the later one has the word, and neither fails.
    list(accounts.select_for_update().order_by("pk").values_list("pk", flat=True))
    accounts.filter(is_default=True).update(is_default=False)
    chosen.update(is_default=True)
