"""A provider said who the person is: move the pending row on, and sign the browser in where a user exists."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.errors import AccessDenied, InvalidGrant, RegistrationRefused
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.providers.base import Provider, Success
from django_lazyauth.sessions import browser, end

from . import default_identity
from . import deferred as register

#: Two people may register the same (provider, subject) at once; the second finds the first on its next try.
ATTEMPTS = 3


class SomebodyElse(AccessDenied):
    """The client asked for one person, and another signed in (OpenID Connect Core §3.1.2.1, ``id_token_hint``)."""

    error = "login_required"


def complete(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, success: Success
) -> PendingAuthorization:
    """Record that the person of *pending* proved who they are.

    ``immediate`` writes a new person now, ``lazy`` keeps it for the exchange. A user who exists is signed in
    on this browser.

    Raises:
        AccessDenied: The person may not sign in here, or is not the one whom the client asked for.
        InvalidGrant: The row moved on in another tab, or is over.
    """
    auth_time = success.auth_time or timezone.now()
    user, deferred = _settle(pending, provider, success, auth_time)
    if user is not None:
        browser.log_in(request, user, auth_time=auth_time, amr=list(success.amr), acr=success.acr)
    pending.user, pending.is_deferred = user, deferred  # type: ignore[assignment]  # the host's user model
    pending.status, pending.auth_time = Status.AUTHENTICATED, auth_time
    return pending


def _settle(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    for attempt in range(ATTEMPTS):
        try:
            return _write(pending, provider, success, auth_time)
        except register.Taken:
            if attempt == ATTEMPTS - 1:
                raise AccessDenied("An account with this name or address exists already.") from None
        except register.Deactivated:
            raise AccessDenied("This account may not sign in.") from None
        except RegistrationRefused as refused:
            raise AccessDenied(refused.description) from None
    raise AssertionError("unreachable")


@retries_on_conflict
def _write(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        return _write_at_once(pending, provider, success, auth_time)


def _write_at_once(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    identity = success.identity
    user = success.user or register.known_user(identity)
    if user is not None and not user.is_active:
        raise register.Deactivated
    if pending.subject_hint and (user is None or str(user.pk) != pending.subject_hint):
        raise SomebodyElse("The client asked for somebody else.")
    lazy = register.mode_of(provider) == "lazy"
    if user is None and not lazy:
        user, _ = register.write_person(identity, session_id=pending.pk, client=pending.client)
    moved = PendingAuthorization.objects.of_leg(pending).advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM,),
        status=Status.AUTHENTICATED,
        state_digest=None,
        private="",
        user=user,
        is_deferred=user is None,
        auth_time=auth_time,
        amr=list(success.amr),
        acr=success.acr,
    )
    if not moved:
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.")
    if user is not None:
        default_identity.promote(user, identity)
    if user is None or (lazy and success.commit is not None):
        register.defer(pending, identity, success.commit)
    elif success.commit is not None:
        end.finalize(provider, success.commit, user=user, session_id=pending.pk)
    return user, user is None


def adopt_signed_in(
    request: HttpRequest, pending: PendingAuthorization, user: AbstractBaseUser
) -> PendingAuthorization:
    """Answer *pending* as *user*, who is signed in on this site. No provider is asked.

    Raises:
        InvalidGrant: The row moved on in another tab.
    """
    auth_time, amr, acr = browser.signed_in_since(request)
    moved = PendingAuthorization.objects.advance(
        pending.pk,
        from_status=(Status.REQUESTED, Status.SENT_UPSTREAM),
        status=Status.AUTHENTICATED,
        state_digest=None,
        private="",
        provider="",
        user=user,
        auth_time=auth_time,
        amr=amr,
        acr=acr,
    )
    if not moved:
        raise InvalidGrant("This sign-in went on in another tab.")
    pending.status, pending.user = Status.AUTHENTICATED, user  # type: ignore[assignment]  # the host's user model
    return pending
