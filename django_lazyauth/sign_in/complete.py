"""A person is authenticated: write them or defer that, move the row on, and sign the browser in.

Not here: how a provider's answer is checked (:mod:`.callback`, :mod:`.native_token`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.errors import AccessDenied, RegistrationRefused
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.providers.base import Provider, Success, SyncTerms
from django_lazyauth.sessions import browser, end

from . import returning
from .deferred import Deactivated, Leg, Taken, defer, known_identity, load_user, mode_of, write_person
from .leg import SignInMovedOn, back_to, end_leg

#: Two requests may register the same (provider, subject) at once. The second finds the first on its next attempt.
ATTEMPTS = 3
TAKEN: Final = "An account with this name or address exists already."


class SomebodyElse(AccessDenied):
    """The person who signed in is not the one of ``id_token_hint`` or ``claims`` (OpenID Connect Core §3.1.2.1)."""

    error = "login_required"


class SignedInTooWeakly(AccessDenied):
    """The client wants a stronger sign-in (OpenID Connect Core Error Code unmet_authentication_requirements 1.0)."""

    error = "unmet_authentication_requirements"


def complete(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, success: Success
) -> PendingAuthorization:
    """Record that the person of *pending* proved who they are.

    ``immediate`` writes a new person now, ``lazy`` when the code is redeemed. A user who exists is signed in on
    this browser.

    Raises:
        AccessDenied: The person may not sign in here, or the client asked for somebody else.
        SignInEnded: The row expired, or moved on in another tab.
    """
    if not is_strong_enough(pending, success.acr):
        raise SignedInTooWeakly("The sign-in was not as strong as the application wants.", debug="too_weak")
    auth_time, mark = success.auth_time or timezone.now(), browser.mark_of(request)
    user, identity_id = _settle(pending, provider, success, auth_time, mark)
    if user is not None and not user.is_active:
        # A receiver or the host's `sync` deactivated them just now. That is committed, and has ended the flow.
        raise _may_not_sign_in()
    if user is not None:
        how = browser.SignIn(auth_time, list(success.amr), success.acr, identity_id, mark)
        browser.log_in(request, user, how)
    pending.user, pending.is_deferred = user, user is None  # type: ignore[assignment]  # the host's user model
    pending.identity_id = identity_id
    pending.status, pending.auth_time = Status.AUTHENTICATED, auth_time
    return pending


def is_strong_enough(pending: PendingAuthorization, acr: str) -> bool:
    """Say whether a sign-in of the context class *acr* will do (OpenID Connect Core §5.5.1.1)."""
    return not pending.is_acr_essential or acr in pending.acr_values.split()


def _settle(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime, mark: str
) -> tuple[AbstractBaseUser | None, int | None]:
    for attempt in range(ATTEMPTS):
        try:
            return _write(pending, provider, success, auth_time, mark)
        except Taken:
            if attempt == ATTEMPTS - 1:
                raise AccessDenied(TAKEN, debug="taken") from None
        except Deactivated:
            raise _may_not_sign_in() from None
        except RegistrationRefused as refused:
            raise AccessDenied(refused.description, debug="registration_refused") from None
    raise AssertionError("unreachable")


def _may_not_sign_in() -> AccessDenied:
    return AccessDenied("This account may not sign in.", debug="deactivated")


@retries_on_conflict
def _write(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime, mark: str
) -> tuple[AbstractBaseUser | None, int | None]:
    """Return the user, ``None`` where the exchange writes them, and the key of their identity, if there is one."""
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        terms = returning.terms_of(success.identity, provider)
        person = _person_of(pending, provider, success, terms)
        user, link = person.user, person.link
        follows = link is not None and not person.is_new and returning.lock(link, success.identity, terms)
        identity_id = link.pk if link is not None else None
        end_leg(
            pending,
            user=user,
            identity_id=identity_id,
            is_deferred=user is None,
            auth_time=auth_time,
            browser_mark=mark,
            amr=list(success.amr),
            acr=success.acr,
        )
        if link is not None:
            returning.promote(link)
        if link is not None and not person.is_new:
            now = timezone.now()
            returning.rewrite(
                link, success.identity, terms, follows=follows, session_id=pending.pk, seen_at=now
            )
        if user is None or (success.commit is not None and mode_of(provider) == "lazy"):
            _defer(pending, provider, success)
        elif success.commit is not None:
            end.finalize(provider, success.commit, user=user, session_id=pending.pk)
    return user, identity_id


def _defer(pending: PendingAuthorization, provider: Provider, success: Success) -> None:
    """Keep what the exchange writes. The tokens stay with the provider that gave them, whoever keeps its accounts."""
    if success.commit is None or success.identity.provider == provider.name:
        defer(pending, success.identity, success.commit)
    else:
        leg = Leg(provider.name, success.commit)
        sid = success.commit.get("upstream_sid")
        defer(pending, success.identity, None, legs=(leg,), upstream_sid=sid)


@dataclass(frozen=True, slots=True)
class _Person:
    """Who signed in.

    Attributes:
        user: ``None`` where the exchange writes them.
        link: Their account at the provider. A user of the site who has a local password may have none.
        is_new: Both were written just now.
    """

    user: AbstractBaseUser | None
    link: ProviderIdentity | None
    is_new: bool = False


def _person_of(
    pending: PendingAuthorization, provider: Provider, success: Success, terms: SyncTerms
) -> _Person:
    """Return the person, written now if the provider is ``immediate``."""
    link = known_identity(success.identity, session_id=pending.pk)
    user: AbstractBaseUser | None = link.user if link is not None else None
    if success.user is not None:
        # The provider knows its user by something else. They may have been deleted since.
        user = load_user(success.user.pk)
        link = link if link is not None and link.user == user else None
    if user is not None and not user.is_active:
        raise Deactivated
    if pending.subject_hint and (user is None or str(user.pk) != pending.subject_hint):
        raise SomebodyElse("The client asked for somebody else.", debug="somebody_else")
    if user is None and mode_of(provider) == "immediate":
        user, link = write_person(success.identity, terms, pending=pending, seen_at=timezone.now())
        return _Person(user, link, is_new=True)
    return _Person(user, link)


def adopt_signed_in(
    request: HttpRequest, pending: PendingAuthorization, user: AbstractBaseUser
) -> PendingAuthorization:
    """Answer *pending* as *user*, who is signed in on this site. No provider is asked.

    Raises:
        SignInMovedOn: The row moved on in another tab, or this browser signed in more weakly there.
    """
    how = browser.sign_in_of(request)
    if not is_strong_enough(pending, how.acr):
        raise SignInMovedOn
    back_to(
        pending,
        Status.AUTHENTICATED,
        provider="",
        user=user,
        identity_id=how.identity_id,
        auth_time=how.auth_time,
        amr=how.amr,
        acr=how.acr,
        browser_mark=how.mark,
    )
    pending.user = user  # type: ignore[assignment]  # the host's user model
    pending.identity_id = how.identity_id
    return pending
