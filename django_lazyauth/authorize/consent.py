"""What a person allowed a client, and whether they have to be asked again (I8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser

from django_lazyauth.errors import SealBroken
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
    return frozenset(_remembered(user.pk, client=client, resources=resources).split())


def _remembered(user_id: Any, *, client: Any, resources: tuple[str, ...] | list[str]) -> str:
    consents = Consent.objects.filter(
        user_id=user_id,
        client=client,
        resources_digest=resources_key(resources),
        client_digest=clients.metadata_digest(client),
    )
    return consents.values_list("scope", flat=True).first() or ""


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


def remember_for_known(pending: PendingAuthorization) -> None:
    Writes((widened_consent(pending, pending.user_id),)).run()


def widened_consent(pending: PendingAuthorization, user_id: Any) -> Upsert:
    """Return the write that adds what *pending* asks for to what the user allowed before. One query."""
    client, resources = pending.client, pending.resource
    known = _remembered(user_id, client=client, resources=resources)
    is_asked = was_asked(pending) or set(pending.scopes) <= set(known.split())
    return consent_of(
        user_id, client=client, scopes=pending.scopes, resources=resources, known=known, is_asked=is_asked
    )
