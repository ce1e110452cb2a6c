"""Add a way in, by signing in with it: out to the provider and back, as every sign-in, and then nobody is signed in.

The row of the flow names who is signed in here and adds the account. It goes the ways of every flow (state, nonce,
PKCE, the browser's binding, waiting for a cold domain), has no code and no session, and is gone when the account is
linked. Who began it must still be the one who is signed in when the provider sends them back.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.http import HttpRequest

from django_lazyauth.errors import InvalidGrant
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.providers.base import Success

from . import identities


class Linked(StrEnum):
    """How it ended, in the word that the account page is told."""

    NEW = "linked"
    KNOWN = "known"
    TAKEN = "taken"


def complete(request: HttpRequest, pending: PendingAuthorization, success: Success) -> Linked:
    """Link who signed in to the person of the flow; what the provider gave besides is forgotten.

    Raises:
        InvalidGrant: Somebody else is signed in here by now, or the row moved on in another tab.
    """
    user = request.user
    if not isinstance(user, AbstractBaseUser) or not user.is_active or user.pk != pending.link_to_id:
        raise InvalidGrant("Somebody else is signed in here by now. Nothing was connected.")
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        gone, _by_model = PendingAuthorization.objects.of_leg(pending).delete()
        if not gone:
            raise InvalidGrant("This sign-in is over. Go back to the application and start again.")
        try:
            _identity, is_new = identities.write_link(user, success.identity)
        except identities.IdentityTaken:
            return Linked.TAKEN
    return Linked.NEW if is_new else Linked.KNOWN
