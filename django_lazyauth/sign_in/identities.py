"""The provider accounts that a user can sign in with: list them, link one, unlink one, but never the last.

Linking and unlinking need a sign-in of the last ten minutes: an open browser is not enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, connections, router, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import LazyAuthError, ProviderError
from django_lazyauth.kit.results import Pending
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity
from django_lazyauth.providers.password import PasswordProvider
from django_lazyauth.providers.registry import configured_providers, get_provider
from django_lazyauth.sessions import browser, end
from django_lazyauth.tokens import family
from django_lazyauth.users import history

from .deferred import Taken, identity_row, is_unique_violation, known_identity
from .native_token import identify, provider_of

#: How long ago the person may have proved who they are.
REAUTHENTICATED_WITHIN: Final = timedelta(minutes=10)


class ReauthenticationRequired(LazyAuthError):
    """The person has to sign in again first (``prompt=login`` or ``max_age=0``)."""


class IdentityTaken(LazyAuthError):
    """That (provider, subject) belongs to another user, for ever (I5)."""


class NoSuchIdentity(LazyAuthError):
    """The person has no identity with this key."""


class LastWayIn(LazyAuthError):
    """It is the last identity that the user can sign in with."""


def require_fresh(request: HttpRequest) -> None:
    """
    Raises:
        ReauthenticationRequired: The sign-in of this browser is older than ten minutes.
    """
    if timezone.now() - browser.sign_in_of(request).auth_time > REAUTHENTICATED_WITHIN:
        raise ReauthenticationRequired


def of_user(user: AbstractBaseUser) -> list[ProviderIdentity]:
    """Return the identities of *user*: the default account first (:func:`.returning.promote`), then the oldest."""
    return list(ProviderIdentity.objects.filter(user_id=user.pk).order_by("-is_default", "pk"))


@sensitive_variables("id_token")
def link(
    user: AbstractBaseUser, id_token: str, *, discovery_domain: str, nonce: str
) -> tuple[ProviderIdentity, bool] | Pending:
    """Link the person that *id_token* names to *user*; say whether that is new.

    Raises:
        TokenRefused: A check of the token failed, or the provider's keys cannot be fetched.
        IdentityTaken: It belongs to another user.
    """
    provider = provider_of(id_token, discovery_domain=discovery_domain)
    success = identify(provider, id_token, nonce=nonce)
    return success if isinstance(success, Pending) else write_link(user, success.identity)


def write_link(user: AbstractBaseUser, identity: Identity) -> tuple[ProviderIdentity, bool]:
    """Link *identity*, which was verified, to *user*; say whether that is new.

    Raises:
        IdentityTaken: It belongs to another user.
    """
    row = identity_row(user, identity)
    try:
        with transaction.atomic(using=_database()):
            earlier = known_identity(identity) if identity.legacy_subjects else None
            if earlier is not None:
                if earlier.user_id != user.pk:
                    raise IdentityTaken
                return earlier, False
            row.save(force_insert=True)
    except Taken:
        raise IdentityTaken from None
    except IntegrityError as error:
        if not is_unique_violation(error):
            raise
        known = ProviderIdentity.objects.filter(
            provider=identity.provider, subject=identity.subject, issuer=identity.issuer, user_id=user.pk
        ).first()
        if known is None:
            raise IdentityTaken from None
        return known, False
    return row, True


def _database() -> str:
    return router.db_for_write(ProviderIdentity)


@retries_on_conflict
def unlink(user: AbstractBaseUser, pk: int) -> None:
    """Delete an identity of *user*, and end what they signed in to with it: see :func:`.end.end_identity`.

    Raises:
        NoSuchIdentity: It is not one of theirs.
        LastWayIn: It is the last one that works.
    """
    with transaction.atomic(using=_database()):
        family.lock(user.pk)
        # Without the lock, two tabs could each remove one of the last two. A refresh or exchange under way only checks
        # that the row is there when it commits. It must not wait for this, which waits for it.
        no_key = connections[_database()].features.has_select_for_no_key_update
        locked = get_user_model()._default_manager.select_for_update(no_key=no_key).get(pk=user.pk)
        identities = {identity.pk: identity for identity in of_user(locked)}
        if pk not in identities:
            raise NoSuchIdentity
        leaving = identities.pop(pk)
        if not _has_password(locked) and not any(works(other) for other in identities.values()):
            raise LastWayIn
        ProviderIdentity.objects.filter(pk=pk).delete()
        history.note_way(locked, leaving, "deleted")
        end.end_identity(leaving)


@retries_on_conflict
def delete(pks: Iterable[int]) -> int:
    """Delete identities as an operator, also the last of a user. Return how many sessions ended."""
    with transaction.atomic(using=_database()):
        rows = list(ProviderIdentity.objects.using(_database()).filter(pk__in=list(pks)).order_by("pk"))
        ProviderIdentity.objects.filter(pk__in=[row.pk for row in rows]).delete()
        return sum(map(end.end_identity, rows))


def removable(user: AbstractBaseUser, owned: list[ProviderIdentity]) -> set[int]:
    """Return the keys of those identities of *user* that may be unlinked; *owned* is all of them."""
    if _has_password(user):
        return {identity.pk for identity in owned}
    working = {identity.pk for identity in owned if works(identity)}
    return {identity.pk for identity in owned if working - {identity.pk}}


def is_fresh(request: HttpRequest) -> bool:
    """Say whether the sign-in of this browser is at most ten minutes old."""
    try:
        require_fresh(request)
    except ReauthenticationRequired:
        return False
    return True


def works(identity: ProviderIdentity) -> bool:
    """Say whether a person can sign in with this identity as the site is configured now."""
    try:
        get_provider(identity.provider)
    except ProviderError:
        return False
    return True


def _has_password(user: AbstractBaseUser) -> bool:
    offered = any(isinstance(provider, PasswordProvider) for provider in configured_providers())
    return offered and user.has_usable_password()
