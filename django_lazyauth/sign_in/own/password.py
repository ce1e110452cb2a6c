"""A person changes the password of their account where they are signed in.

They give the current one, or have signed in just now. What ends with the old password is what ends at every change.

Not here: a change that a mailed code confirms (:mod:`django_lazyauth.providers.password`), and the first password
(:func:`django_lazyauth.sign_in.linking.set_here`).
"""

from __future__ import annotations

import logging
from typing import Literal

from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.contrib.auth.signals import user_login_failed
from django.db import router, transaction
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import LazyAuthError, ProviderUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization, ProviderIdentity
from django_lazyauth.providers.password import PERSON_FAILURES, PasswordProvider
from django_lazyauth.providers.password_forms import person_key
from django_lazyauth.providers.password_mails import AddressRefused, send_mail
from django_lazyauth.providers.registry import configured_providers
from django_lazyauth.sessions import end
from django_lazyauth.users import history

logger = logging.getLogger(__name__)


class ChangedMeanwhile(LazyAuthError):
    """The password is another one than when it was checked."""


def provider_name() -> str:
    """Return the name of the password provider; empty where the site offers none."""
    return next((one.name for one in configured_providers() if isinstance(one, PasswordProvider)), "")


def has_one(user: AbstractBaseUser) -> bool:
    return bool(user.password) and user.has_usable_password()


@sensitive_variables("typed")
def check(request: HttpRequest, user: AbstractBaseUser, typed: str) -> Literal["right", "wrong", "locked"]:
    """Compare *typed* with the password of *user*. Wrong ones count together with those of signing in."""
    person = person_key(user)
    if not PERSON_FAILURES.take(person):
        return "locked"
    if user.check_password(typed):
        PERSON_FAILURES.give_back(person)
        return "right"
    # What a host hangs on failures counts these, too.
    user_login_failed.send(sender=__name__, credentials={"username": user.get_username()}, request=request)
    return "wrong"


@sensitive_variables("password")
def change(request: HttpRequest, user: AbstractBaseUser, password: str) -> int:
    """Give *user* a new password, end their sessions at clients, and mail them. Return how many sessions ended.

    This browser stays signed in on this site, others do not: Django's sessions hold for one password.

    Raises:
        ChangedMeanwhile: Nothing was changed.
    """
    ended = _write(user, make_password(password))
    update_session_auth_hash(request, user)  # type: ignore[arg-type]  # AbstractBaseUser is what Django passes too
    _tell(user)
    return ended


@retries_on_conflict
def _write(user: AbstractBaseUser, password_hash: str) -> int:
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        # Whoever replaced it meanwhile, by a code from the mailbox, is not overruled.
        rows = get_user_model()._base_manager.filter(pk=user.pk, password=user.password)
        if not rows.update(password=password_hash):
            raise ChangedMeanwhile
        ended = end.end_all_sessions(user)
        history.note_password(user)
    user.password = password_hash
    return ended


def _tell(user: AbstractBaseUser) -> None:
    """Tell the person by mail: it may not have been them. The change stands whether the mail is sent or not."""
    proved = (
        ProviderIdentity.objects.filter(user_id=user.pk, provider=provider_name()).exclude(email="").first()
    )
    address = proved.email if proved else getattr(user, user.get_email_field_name(), "")
    if not address:
        return
    try:
        send_mail("changed", to=address)
    except (AddressRefused, ProviderUnavailable):
        logger.warning("Nobody was told by mail that a password was changed.")
