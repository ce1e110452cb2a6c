"""What of a user follows their account at a provider (keys ``sync`` and ``sync_fields``). It refuses nobody.

Always in the transaction of a sign-in. The caller locks user and account before anything is written here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, router, transaction

from django_lazyauth.kit.text import is_undeliverable
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity, SyncFunction, SyncTerms

from . import fields

logger = logging.getLogger("django_lazyauth.upstream")


def digests_of_new(user: AbstractBaseUser, identity: Identity, terms: SyncTerms) -> dict[str, str]:
    """Return the digests of what a new user holds of *identity*; none where they do not follow.

    Those that are not needed are not made: they take a tenth of a millisecond (benchmark "exchange, public client").
    """
    if terms.sync != "update":
        return {}
    return _digests(user, _said(identity), {})


def _said(identity: Identity, *, is_logged: bool = False) -> dict[str, Any]:
    said = fields.said_of(identity, is_logged=is_logged)
    if (address := fields.verified_address(identity)) is not None:
        said[fields.email_field()] = address
    return said


def _digests(user: AbstractBaseUser, said: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Return *known* with the digests of what *user* holds and is said, where there was none.

    So a user of before there were digests follows too, once they hold what their provider says.
    """
    held = {name for name, value in said.items() if getattr(user, name) == value}
    return {**{name: fields.digest_of(user, name) for name in held - set(known)}, **known}


def is_due(link: ProviderIdentity, identity: Identity, terms: SyncTerms) -> bool:
    """Say whether :func:`update` has anything to write. No query."""
    if terms.sync != "update":
        return False
    said, known = _said(identity), link.written or {}
    return bool(_due(link, said, terms)) or _digests(link.user, said, known) != known


def _due(link: ProviderIdentity, said: Mapping[str, Any], terms: SyncTerms) -> dict[str, Any]:
    """Return the fields that the user of *link* gets, with their values."""
    user = link.user
    return {
        name: said[name]
        for name in terms.fields
        if name in said and said[name] != getattr(user, name) and _is_ours(link, name)
    }


def _is_ours(link: ProviderIdentity, name: str) -> bool:
    """Say whether the user holds what this account gave, or nothing yet. What the person changed is theirs."""
    if digest := (link.written or {}).get(name):
        return fields.is_what_we_wrote(link.user, name, digest)
    held = getattr(link.user, name)
    # An address below .invalid stands in for one that is missing (UNVERIFIED_EMAIL).
    return held in (None, "") or (name == fields.email_field() and is_undeliverable(str(held)))


def update(link: ProviderIdentity, identity: Identity, terms: SyncTerms) -> dict[str, str]:
    """Write what is due, and return the digests of what the user holds of the account then."""
    said = _said(identity, is_logged=True)
    values = _due(link, said, terms)
    for name in [name for name in values if fields.is_unique(name)]:
        if fields.is_taken(name, values[name], link.user):
            logger.info("the field %s of a user stays: somebody else has what %s says", name, link.provider)
            del values[name]
    written = _save(link.user, values, link.provider)
    known = {name: digest for name, digest in (link.written or {}).items() if name not in written}
    return _digests(link.user, said, known)


def call(
    function: SyncFunction, user: AbstractBaseUser, link: ProviderIdentity, changed: Iterable[str]
) -> None:
    """Let the host's *function* set fields of *user*, and write those that it names.

    Raises:
        RegistrationRefused: The function does not let the person in.
    """
    names = list(function(user, link, frozenset(changed)) or ())
    refused = set(names) - _save(user, {name: getattr(user, name) for name in names}, link.provider)
    if refused:
        user.refresh_from_db(fields=sorted(refused))


def _save(user: AbstractBaseUser, values: Mapping[str, Any], provider: str) -> frozenset[str]:
    """Give *user* these values, and return the names of those that stand. A lost race leaves what can be unique.

    A user model that validates what it saves may refuse them too, also for a field that nobody wrote here.
    """
    before = {name: getattr(user, name) for name in values}
    safe = frozenset(name for name in values if not fields.is_unique(name))
    for names in dict.fromkeys((frozenset(values), safe)):
        if not names:
            break
        for name in values:
            setattr(user, name, values[name] if name in names else before[name])
        try:
            with transaction.atomic(using=router.db_for_write(type(user), instance=user)):
                user.save(update_fields=sorted(names))
        except (IntegrityError, DataError, ValidationError) as error:
            why = type(error).__name__
            logger.warning("fields of a user stay: what %s says cannot be saved (%s)", provider, why)
        else:
            return names
    for name, value in before.items():
        setattr(user, name, value)
    return frozenset()
