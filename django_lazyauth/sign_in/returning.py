"""What is kept of a person's account at a provider is written anew at each sign-in with it, and the user may follow.

The account becomes their default one, too: the account page and the identities API list it first. Only a sign-in at the
provider changes that. An existing session, ``prompt=none``, a connected account of a chain and every refresh leave it
alone. Before the first such sign-in it is the oldest account.

Always in the transaction that signs in or exchanges.

Not here: which fields and groups of the user follow (:mod:`django_lazyauth.users.follow` and ``groups``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, router
from django.db.models import Q

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import Identity, Provider, SyncTerms
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.signals import identity_updated
from django_lazyauth.users import follow, groups

from .deferred import SAID, Deactivated, Taken


def terms_of(identity: Identity, provider: Provider) -> SyncTerms:
    """Return how the user of *identity* follows it: as the provider says whose accounts these are.

    Raises:
        ProviderUnavailable: ``misconfigured``.
    """
    is_its_own = identity.provider == provider.name
    return (provider if is_its_own else get_provider(identity.provider)).sync_terms()


def lock_user(link: ProviderIdentity) -> None:
    """Lock the user of *link*, and read them again.

    Raises:
        Taken: They were deleted at this moment.
        Deactivated: They were deactivated.
    """
    no_key = connections[router.db_for_write(ProviderIdentity)].features.has_select_for_no_key_update
    users = type(link.user)._base_manager.using(router.db_for_write(ProviderIdentity))
    try:
        link.user.refresh_from_db(from_queryset=users.select_for_update(no_key=no_key))
    except ObjectDoesNotExist:
        raise Taken from None
    if not link.user.is_active:
        raise Deactivated


def lock(link: ProviderIdentity, identity: Identity, terms: SyncTerms) -> bool:
    """Lock the user and *link*, and read them again, if the user may have to follow; say whether that is so.

    Of two sign-ins at once the later one then compares with what the earlier one wrote, so that user and account
    never say half of each. The user comes first, as where an account is disconnected.

    Raises:
        Taken: The account was disconnected, or the user deleted, at this moment.
        Deactivated: The user was, at this moment.
    """
    if terms.sync != "update" and not terms.group_map:
        return False
    is_due = bool(_changed(link, identity)) or follow.is_due(link, identity, terms)
    if not (is_due or groups.change_of(link.user, identity, terms)):
        return False
    lock_user(link)
    using = router.db_for_write(ProviderIdentity)
    no_key = connections[using].features.has_select_for_no_key_update
    rows = ProviderIdentity.objects.using(using).select_for_update(no_key=no_key)
    try:
        link.refresh_from_db(fields=[*SAID, "seen_at", "is_default", "written"], from_queryset=rows)
    except ObjectDoesNotExist:
        raise Taken from None
    return True


def rewrite(
    link: ProviderIdentity,
    identity: Identity,
    terms: SyncTerms,
    *,
    follows: bool,
    session_id: UUID,
    seen_at: datetime,
) -> None:
    """Let *link* say what the provider says now, send ``identity_updated``, and let the user follow.

    One UPDATE where nothing changed. An exchange may come after a later sign-in, whose word then stays.

    Args:
        follows: What :func:`lock` said.

    Raises:
        Taken: The account was disconnected at this moment.
        RegistrationRefused: A receiver, or the host's own ``sync``, does not let the person in.
    """
    if link.seen_at is not None and link.seen_at > seen_at:
        return
    said, changed = _said_now(link, identity), _changed(link, identity)
    values = {"seen_at": seen_at, **(_follow(link, identity, terms) if follows else {})}
    if changed:
        # All of it: a concurrent sign-in may have changed another part, and half of each would be nobody's word.
        values |= said
    if not ProviderIdentity.objects.filter(pk=link.pk).update(**values):
        raise Taken
    for name, value in values.items():
        setattr(link, name, value)
    if changed:
        identity_updated.send(
            sender=type(link), user=link.user, identity=link, changed=changed, session_id=session_id
        )
    if callable(terms.sync):
        follow.call(terms.sync, link.user, link, changed)


def _follow(link: ProviderIdentity, identity: Identity, terms: SyncTerms) -> dict[str, Any]:
    """Let the locked user of *link* follow; return what *link* has to remember of it."""
    groups.follow(link.user, identity, terms)
    if terms.sync != "update" or not _is_default(link):
        return {}
    return {"written": follow.update(link, identity, terms)}


def _changed(link: ProviderIdentity, identity: Identity) -> set[str]:
    said = _said_now(link, identity)
    return {name for name, value in said.items() if value != (getattr(link, name) or type(value)())}


def _said_now(link: ProviderIdentity, identity: Identity) -> dict[str, Any]:
    """Return the columns that the provider decides.

    Where it was not heard out, what is missing is as it was. A name is told once by some providers, so it stays too.
    """
    kept = dict(identity.kept)
    email, email_verified = identity.email, identity.email_verified
    if identity.is_partial:
        kept = {**(link.claims or {}), **kept}
        if not email:
            email, email_verified = link.email, link.email_verified
    said = (email, email_verified, identity.name or link.name, kept)
    return dict(zip(SAID, said, strict=True))


def _is_default(link: ProviderIdentity) -> bool:
    """Say whether *link* is the default account of its user."""
    if link.is_default:
        return True
    others = ProviderIdentity.objects.filter(user_id=link.user_id).exclude(pk=link.pk)
    return not others.filter(Q(is_default=True) | Q(pk__lt=link.pk)).exists()


def promote(link: ProviderIdentity) -> None:
    """Make *link* the default account of its user, in the caller's transaction. No query where it is that already."""
    if link.is_default:
        return
    accounts = ProviderIdentity.objects.filter(user_id=link.user_id)
    # Locked in one order: of two concurrent sign-ins the later one wins, and neither fails.
    list(accounts.select_for_update().order_by("pk").values_list("pk", flat=True))
    accounts.filter(is_default=True).update(is_default=False)
    accounts.filter(pk=link.pk).update(is_default=True)
    link.is_default = True
