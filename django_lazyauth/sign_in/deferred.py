"""Write a person, or keep sealed what will be written later. Always in the caller's transaction.

All users are written here: at once (``immediate``), or when the code is redeemed (``lazy``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError

from django_lazyauth.conf import RegistrationMode, lazyauth_settings
from django_lazyauth.errors import LazyAuthError, RegistrationRefused, SealBroken
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity
from django_lazyauth.providers.base import Identity, Json, Provider, SyncTerms
from django_lazyauth.providers.registry import with_accounts_of
from django_lazyauth.signals import identity_updated, user_registered
from django_lazyauth.tokens.writes import Insert, Writes
from django_lazyauth.users import follow, groups
from django_lazyauth.vault.cipher import get_cipher
from django_lazyauth.vault.places import deferral_place

#: The fields of an identity that its provider decides.
SAID: Final = ("email", "email_verified", "name", "claims")


class Taken(LazyAuthError):
    """Another request has just written the unique name, address or (provider, subject)."""


class Deactivated(LazyAuthError):
    """The user exists and may not sign in."""


def mode_of(provider: Provider) -> RegistrationMode:
    """Return when users of *provider* are written."""
    return provider.registration or lazyauth_settings.registration


# -- what waits for the exchange -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leg:
    """What the provider of a later leg of a chain committed."""

    provider: str
    commit: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deferred:
    identity: Identity
    commit: Json | None = field(repr=False)
    legs: tuple[Leg, ...] = ()


def defer(
    pending: PendingAuthorization,
    identity: Identity,
    commit: Json | None,
    *,
    legs: tuple[Leg, ...] = (),
    upstream_sid: str | None = None,
) -> None:
    """Keep, sealed, what the exchange will write: who the person is, and what each provider committed.

    Args:
        upstream_sid: The session at the provider that signed the person in, where *commit* does not say it.
    """
    payload = json.dumps(
        {"identity": asdict(identity), "commit": commit, "legs": [asdict(leg) for leg in legs]}
    )
    DeferredRegistration.objects.update_or_create(
        pending=pending,
        defaults={
            "provider": identity.provider,
            "subject": identity.subject,
            "upstream_sid": upstream_sid or (commit or {}).get("upstream_sid") or None,
            "commit": get_cipher().seal(payload, deferral_place(pending.pk, identity.provider)),
        },
    )


def open_deferred(row: DeferredRegistration) -> Deferred:
    """Return what :func:`defer` kept.

    Raises:
        SealBroken: The row was moved or tampered with, or its key is gone.
    """
    data = json.loads(get_cipher().open(row.commit, deferral_place(row.pending_id, row.provider)))
    identity = Identity(**data["identity"])
    if (identity.provider, identity.subject) != (row.provider, row.subject):
        raise SealBroken("the row names another person than its payload")
    return Deferred(identity, data["commit"], tuple(Leg(**leg) for leg in data.get("legs", ())))


# -- writing ---------------------------------------------------------------------------------------------


def known_identity(identity: Identity, *, session_id: UUID | None = None) -> ProviderIdentity | None:
    """Return the row of (provider, subject) with its user, whom it belongs to for ever (I5). One query.

    Who is not found may be known by an earlier subject; that row is then moved to the subject of now.

    Raises:
        Taken: Another request has just moved the row, or written the person.
        RegistrationRefused: The SSO domain has another issuer than when the identity was linked. The same subject
            may be somebody else there (I19).
    """
    people = ProviderIdentity.objects.filter(provider=identity.provider).select_related("user")
    link = people.filter(subject=identity.subject).first()
    if link is None and identity.legacy_subjects:
        rows = {row.subject: row for row in people.filter(subject__in=list(identity.legacy_subjects))}
        link = next((rows[name] for name in identity.legacy_subjects if name in rows), None)
    if link is not None and identity.sso_domain and link.issuer != identity.issuer:
        raise RegistrationRefused("The provider of this domain changed. Ask the operator of this site.")
    if link is not None and link.subject != identity.subject:
        _move(link, identity, session_id)
    return link


def _move(link: ProviderIdentity, identity: Identity, session_id: UUID | None) -> None:
    """Give *link* the subject of now. Of two requests at once one does, so nobody else gets in by the earlier one."""
    earlier = ProviderIdentity.objects.filter(pk=link.pk, subject=link.subject)
    try:
        moved = earlier.update(subject=identity.subject, issuer=identity.issuer)
    except IntegrityError as error:
        if is_unique_violation(error):
            raise Taken from error
        raise
    if not moved:
        raise Taken
    link.subject, link.issuer = identity.subject, identity.issuer
    identity_updated.send(
        sender=type(link), user=link.user, identity=link, changed={"subject"}, session_id=session_id
    )


def known_person(identity: Identity) -> ProviderIdentity:
    """Return the row, with its user, of an identity that was written since the callback. One query.

    Raises:
        Deactivated: The user may not sign in, or was deleted at this moment.
        RegistrationRefused: The identity was written for another provider that the SSO domain named (I19).
    """
    link = known_identity(identity)
    if link is None or not link.user.is_active:
        raise Deactivated
    return link


def load_user(pk: Any) -> AbstractBaseUser:
    """Return a user by primary key.

    Raises:
        Deactivated: The user does not exist or may not sign in.
    """
    user = get_user_model()._default_manager.filter(pk=pk).first()
    if user is None or not user.is_active:
        raise Deactivated
    return user


def write_person(
    identity: Identity, terms: SyncTerms, *, pending: PendingAuthorization, seen_at: datetime
) -> tuple[AbstractBaseUser, ProviderIdentity]:
    """Write the user and identity of a person who has no user yet, and send ``user_registered``.

    Raises:
        Taken: A unique constraint failed because another request was faster. The transaction has to be rolled back.
        Deactivated: The resolver found an existing user who may not sign in, or the host deactivated a new one.
        RegistrationRefused: The resolver or a receiver refused.
    """
    resolver = lazyauth_settings.user_resolver()
    try:
        user = resolver.find(identity) or resolver.create(identity)
        if not user.is_active:
            raise Deactivated
        link = identity_row(user, identity, seen_at=seen_at)
        if pending.provider in with_accounts_of(identity.provider):
            link.asked_again_at = pending.asked_again_at
        link.written = follow.digests_of_new(user, identity, terms)
        Writes((Insert(link),)).run()
    except IntegrityError as error:
        if is_unique_violation(error):
            raise Taken from error
        raise
    groups.follow(user, identity, terms)
    if callable(terms.sync):
        follow.call(terms.sync, user, link, {name for name in SAID if getattr(link, name)})
    user_registered.send(
        sender=type(user), user=user, identity=link, session_id=pending.pk, client=pending.client
    )
    if not user.is_active:
        raise Deactivated
    return user, link


def identity_row(
    user: AbstractBaseUser, identity: Identity, *, seen_at: datetime | None = None
) -> ProviderIdentity:
    """Return the unsaved row that links *identity* to *user*, who signed in with it at *seen_at*, if at all."""
    return ProviderIdentity(
        user=user,  # type: ignore[misc]  # the host's user model
        provider=identity.provider,
        subject=identity.subject,
        issuer=identity.issuer,
        email=identity.email,
        email_verified=identity.email_verified,
        name=identity.name,
        claims=dict(identity.kept),
        seen_at=seen_at,
        sso_domain=identity.sso_domain,
        sso_name=identity.sso_name,
    )


def is_unique_violation(error: IntegrityError) -> bool:
    """Say whether a unique constraint was hit, rather than a missing value or a foreign key."""
    cause = error.__cause__
    if "23505" in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None)):  # psycopg 3 and 2
        return True
    if cause is not None and cause.args and cause.args[0] == 1062:  # MySQL, MariaDB: ER_DUP_ENTRY
        return True
    return "UNIQUE constraint failed" in str(error)
