"""Whom the tokens are for: the user who is known, or the person who is written now.

After every check of what was presented, and before any token. What a provider committed is written with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.authorize.consent import consent_of, was_asked, widened_consent
from django_lazyauth.errors import InvalidGrant, ProviderError, RegistrationRefused, SealBroken
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity
from django_lazyauth.models.locked_code import LockedCode
from django_lazyauth.providers.base import SyncTerms
from django_lazyauth.providers.registry import get_provider, is_on
from django_lazyauth.sessions import end
from django_lazyauth.sign_in import deferred as registration
from django_lazyauth.sign_in import returning
from django_lazyauth.tokens.writes import Step

_WAY_IN_IS_GONE: Final = "The way this person signed in is not available any more."


class Unfinishable(InvalidGrant):
    """The deferred registration can never be written."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the tokens are for.

    Attributes:
        identity: Written just now; ``None`` for a user who existed.
        steps: What is still to be written about them.
    """

    user: AbstractBaseUser
    identity: ProviderIdentity | None = None
    steps: tuple[Step, ...] = ()
    changed_password: bool = False


def finalize(locked: LockedCode) -> Person:
    """Write the person and what the provider committed: after every check of the code, before any token."""
    if locked.deferred is None:
        if locked.user is None:
            raise InvalidGrant
        return Person(locked.user)
    try:
        person = _write_deferred(locked, locked.deferred)
    except RegistrationRefused as refused:
        raise Unfinishable(refused.description) from None
    except SealBroken:
        raise Unfinishable("This sign-in can no longer be completed. Start again.") from None
    except registration.Deactivated:
        raise InvalidGrant("This account may not sign in.") from None
    except ProviderError as error:
        if error.reason != "not_configured":
            raise
        raise InvalidGrant(_WAY_IN_IS_GONE) from None
    if not person.user.is_active:
        # A receiver or the host's `sync` deactivated them a moment ago, which ended this sign-in.
        raise InvalidGrant("This account may not sign in.")
    return person


def _write_deferred(locked: LockedCode, row: DeferredRegistration) -> Person:
    pending = locked.pending
    deferred = registration.open_deferred(row)
    provider = get_provider(row.provider)
    if locked.user is not None:
        person = Person(locked.user)
    else:
        person = _register(locked, deferred, provider.sync_terms(), row.created_at)
    changed_password = False
    if deferred.commit is not None:
        changed_password = end.finalize(provider, deferred.commit, user=person.user, session_id=pending.pk)
    for leg in deferred.legs:
        get_provider(leg.provider).finalize(leg.commit, user=person.user, session_id=pending.pk)
    return Person(person.user, person.identity, person.steps, changed_password)


def _register(
    locked: LockedCode, deferred: registration.Deferred, terms: SyncTerms, seen_at: datetime
) -> Person:
    """Write the person who signed in at *seen_at*, or find who was written since then."""
    pending, identity = locked.pending, None
    user: AbstractBaseUser
    if locked.known_identity_id is not None:
        link = registration.known_person(deferred.identity)
        follows = returning.lock(link, deferred.identity, terms)
        returning.rewrite(
            link, deferred.identity, terms, follows=follows, session_id=pending.pk, seen_at=seen_at
        )
        user = link.user
        consent = widened_consent(pending, user.pk)
    else:
        user, identity = registration.write_person(deferred.identity, terms, pending=pending, seen_at=seen_at)
        consent = consent_of(
            user.pk,
            client=pending.client,
            scopes=pending.scopes,
            resources=pending.resource,
            is_asked=was_asked(pending),
        )
    return Person(user, identity, (consent,))


def identity_id(locked: LockedCode, person: Person) -> int | None:
    """Return the key of the identity that the person signed in with."""
    if person.identity is not None:
        return person.identity.pk
    return locked.pending.identity_id if locked.pending.user_id is not None else locked.known_identity_id


def check_provider(pending: PendingAuthorization) -> None:
    """The way the person signed in may have been taken away since (I21)."""
    if pending.provider and not is_on(pending.provider):
        raise InvalidGrant(_WAY_IN_IS_GONE)
