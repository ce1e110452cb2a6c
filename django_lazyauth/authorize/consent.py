"""What a person allowed a client, and whether they have to be asked again (I8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.errors import ConsentRequired, SealBroken
from django_lazyauth.models import Consent, DeferredRegistration, GrantKind, PendingAuthorization
from django_lazyauth.openid.resource_indicators import with_root_slash
from django_lazyauth.sign_in import deferred
from django_lazyauth.sign_in.leg import SignInEnded
from django_lazyauth.tokens.writes import Upsert, Writes
from django_lazyauth.toolkit import clients


def deferred_account(pending: PendingAuthorization) -> str:
    """Return how the consent page names a person who is not written yet.

    Raises:
        InvalidGrant: What was kept cannot be opened any more: the person starts again.
    """
    try:
        identity = deferred.open_deferred(pending.deferred).identity
    except (SealBroken, DeferredRegistration.DoesNotExist):
        raise SignInEnded from None
    return identity.email or identity.name or identity.subject


def resources_key(resources: Iterable[str]) -> str:
    """Return the digest of a set of resource indicators. Order, repetition and the slash of an empty path do not count.

    Libraries that parse a URL and write it down again add that slash. The person is not asked again for it.
    """
    return hashlib.sha256(json.dumps(sorted(set(map(with_root_slash, resources)))).encode()).hexdigest()


# -- consent and code ----------------------------------------------------------------------------------------


def consent_needed(
    user: AbstractBaseUser | None,
    *,
    client: Any,
    scopes: tuple[str, ...] | list[str],
    resources: tuple[str, ...] | list[str],
    prompts: frozenset[str],
) -> bool:
    """Say whether the person has to be asked (I8).

    Not for an operator's client that may skip it; not where this was allowed before and neither scopes nor
    the client changed. A person who is not written yet has allowed nothing yet.
    """
    if "consent" in prompts:
        return True
    if clients.may_skip_consent(client):
        return False
    if user is None:
        return True
    consent = Consent.objects.filter(
        user_id=user.pk, client=client, resources_digest=resources_key(resources)
    ).first()
    return consent is None or not consent.covers(scopes, clients.metadata_digest(client))


def allowed_before(
    user: AbstractBaseUser | None, *, client: Any, resources: tuple[str, ...] | list[str]
) -> frozenset[str]:
    """Return the scopes that *user* allowed *client* on just these resources, and that still count. One query.

    A client that changed what it says of itself is asked for as a whole.
    """
    if user is None:
        return frozenset()
    return frozenset((_remembered(user.pk, client=client, resources=resources) or "").split())


def _remembered(
    user_id: Any, *, client: Any, resources: tuple[str, ...] | list[str], is_locked: bool = False
) -> str | None:
    """Return the scopes of the consent; ``None`` without one that still counts."""
    consents = Consent.objects.filter(
        user_id=user_id,
        client=client,
        resources_digest=resources_key(resources),
        client_digest=clients.metadata_digest(client),
    )
    consents = consents.select_for_update() if is_locked else consents
    return consents.values_list("scope", flat=True).first()


#: Stands in place of what the client says of itself where the operator waived the question. It covers nothing: if the
#: waiver is taken back, the person is asked.
WAIVED: Final = ""


def was_asked(pending: PendingAuthorization) -> bool:
    """Say whether the person of *pending* saw its consent page, or allowed all of it on an earlier one."""
    is_waived = clients.may_skip_consent(pending.client)
    return not is_waived or pending.grant == GrantKind.DEVICE or "consent" in pending.prompts


def consent_of(
    user_id: Any,
    *,
    client: Any,
    scopes: list[str],
    resources: list[str],
    known: str = "",
    is_asked: bool = True,
) -> Upsert:
    """Return the write that remembers or widens the consent of a user.

    Args:
        known: Scopes that the user allowed before, which stay allowed.
        is_asked: Whether the user was asked; see :func:`was_asked`.
    """
    consent = Consent(
        user_id=user_id,
        client=client,
        resources_digest=resources_key(resources),
        resources=resources,
        scope=" ".join(dict.fromkeys([*known.split(), *scopes])),
        client_digest=clients.metadata_digest(client) if is_asked else WAIVED,
    )
    return Upsert(
        consent,
        unique=("user", "client", "resources_digest"),
        update=("resources", "scope", "client_digest", "updated_at"),
    )


def remember_for_known(pending: PendingAuthorization, *, is_silent: bool = False) -> None:
    """Write what the user of *pending* allowed, in the caller's transaction.

    Args:
        is_silent: Nobody was asked just now. Whoever withdraws the consent waits for this, or was first.

    Raises:
        ConsentRequired: Nobody was asked, and the consent was withdrawn at this moment.
    """
    Writes((widened_consent(pending, pending.user_id, is_silent=is_silent),)).run()


def widened_consent(pending: PendingAuthorization, user_id: Any, *, is_silent: bool = False) -> Upsert:
    """Return the write that adds what *pending* asks for to what the user allowed before. One query.

    Raises:
        ConsentRequired: See :func:`remember_for_known`.
    """
    client, resources = pending.client, pending.resource
    found = _remembered(user_id, client=client, resources=resources, is_locked=is_silent)
    known = found or ""
    covers = set(pending.scopes) <= set(known.split())
    if is_silent and not (clients.may_skip_consent(client) or (found is not None and covers)):
        raise ConsentRequired
    is_asked = was_asked(pending) or covers
    return consent_of(
        user_id, client=client, scopes=pending.scopes, resources=resources, known=known, is_asked=is_asked
    )
