"""Add a way to sign in by signing in with it at the provider. Nobody is signed in here by that.

The flow's row names the user who began it (``link_to``). It is checked like every flow (state, nonce, PKCE, the
browser's binding), has no code and no session, and is deleted when the account is linked. The same user must still be
signed in when the provider sends the browser back.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from django_lazyauth.errors import InvalidGrant, RegistrationRefused
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.providers.base import Provider, Success
from django_lazyauth.sessions import browser, end
from django_lazyauth.users import history

from . import identities
from .leg import SignInEnded


class Linked(StrEnum):
    """How it ended: the ``done`` parameter of the account page."""

    NEW = "linked"
    KNOWN = "known"
    TAKEN = "taken"
    SET = "password_set"
    MEANWHILE = "has_password"


@retries_on_conflict
def complete(request: HttpRequest, pending: PendingAuthorization, success: Success) -> Linked:
    """Link the account that signed in to the user of the flow. Tokens of the provider are not kept.

    Raises:
        InvalidGrant: Nobody, or another user, is signed in here by now.
        SignInEnded: The row expired, or moved on in another tab.
    """
    user = _user_of(request, pending)
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        _spend(pending)
        try:
            identity, is_new = identities.write_link(user, success.identity)
        except identities.IdentityTaken:
            return Linked.TAKEN
        if is_new:
            history.note_way(user, identity, "added")
    return Linked.NEW if is_new else Linked.KNOWN


def set_here(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, success: Success
) -> Linked:
    """Give the user of the flow what they set on pages of *provider*: a proven address and a first password.

    This browser stays signed in, others do not: Django's sessions hold for one password.

    Raises:
        InvalidGrant, SignInEnded: As :func:`complete`.
    """
    user = _user_of(request, pending)
    try:
        user = _set(user, pending, provider, success)
    except identities.IdentityTaken:
        return Linked.TAKEN
    except RegistrationRefused:
        return Linked.MEANWHILE
    update_session_auth_hash(request, user)  # type: ignore[arg-type]  # AbstractBaseUser is what Django passes too
    return Linked.SET


@retries_on_conflict
def _set(
    user: AbstractBaseUser, pending: PendingAuthorization, provider: Provider, success: Success
) -> AbstractBaseUser:
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        _spend(pending)
        # As it stands: an attempt that was rolled back has left its password on the other one.
        user = get_user_model()._base_manager.get(pk=user.pk)
        identity, is_new = identities.write_link(user, success.identity)
        if is_new:
            history.note_way(user, identity, "added")
        if success.commit is not None:
            end.finalize(provider, success.commit, user=user, session_id=pending.pk)
            history.note_password(user)
    return user


def _user_of(request: HttpRequest, pending: PendingAuthorization) -> AbstractBaseUser:
    user = browser.current_user(request)
    if user is None:
        raise InvalidGrant(gettext_noop("You are not signed in."))
    if user.pk != pending.link_to_id:
        raise InvalidGrant(gettext_noop("Somebody else is signed in here by now. Nothing was connected."))
    return user


def _spend(pending: PendingAuthorization) -> None:
    gone, _by_model = PendingAuthorization.objects.of_leg(pending).delete()
    if not gone:
        raise SignInEnded
