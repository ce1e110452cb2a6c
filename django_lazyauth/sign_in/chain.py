"""Several upstreams in one authorization: the first leg authenticates the person, the others connect accounts.

A connected account gives this session its tokens. It is no way to sign in, and it links nobody. Each leg has its own
state, nonce and PKCE verifier. No code is issued before the last leg is done. When a leg fails, everything that this
authorization stored is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderUnavailable, SealBroken
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Status
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.base import Provider, Success
from django_lazyauth.providers.registry import configured_providers
from django_lazyauth.vault import store

from .deferred import Deferred, Leg, defer, mode_of, open_deferred
from .leg import SignInEnded, end_leg


def asked_for(client: Any, scopes: Iterable[str]) -> list[str]:
    """Return the providers that an authorization of *client* for *scopes* has to go through, in order."""
    granted = set(scopes)
    names = [
        name
        for chain in lazyauth_settings.chains
        if chain.client == client.client_id or chain.scope in granted
        for name in chain.providers
    ]
    return list(dict.fromkeys(names))


def ways_in(client: Any, scopes: Iterable[str]) -> list[Provider]:
    """Return the providers that may authenticate the person: with a chain, its first leg only."""
    chain = asked_for(client, scopes)
    return [provider for provider in configured_providers() if not chain or provider.name == chain[0]]


def is_way_in(name: str, client: Any, scopes: Iterable[str]) -> bool:
    """Say whether the provider *name* may authenticate the person. No chain begins with an SSO domain."""
    if name.startswith(SSO_PREFIX):
        return not asked_for(client, scopes)
    return any(provider.name == name for provider in ways_in(client, scopes))


def choices(pending: PendingAuthorization) -> list[Provider]:
    """Return the providers that the person of *pending* may choose from. Only upstreams can be linked."""
    ways = ways_in(pending.client, pending.scopes)
    return ways if pending.link_to_id is None else [provider for provider in ways if provider.is_upstream]


def is_choice(pending: PendingAuthorization, name: str) -> bool:
    """Say whether the person of *pending* may be sent to the provider *name*, or to that SSO domain."""
    if name.startswith(SSO_PREFIX):
        return is_way_in(name, pending.client, pending.scopes)
    ways = ways_in(pending.client, pending.scopes)
    return any(
        provider.name == name and (pending.link_to_id is None or provider.is_upstream or provider.is_set_here)
        for provider in ways
    )


def next_leg(pending: PendingAuthorization) -> str | None:
    """Return the provider of the next leg, or ``None`` where the chain is complete or there is none.

    A leg is skipped where this authorization already holds usable tokens of its provider.
    """
    chain = asked_for(pending.client, pending.scopes)
    if not chain:
        return None
    held = _held(pending)
    return next((name for name in chain if name not in held), None)


def _held(pending: PendingAuthorization) -> set[str]:
    now = timezone.now()
    held = {
        bundle.provider
        for bundle in store.get_all(pending.pk)
        if not bundle.is_dead and (bundle.refresh_token or not bundle.is_expired(now))
    }
    row = DeferredRegistration.objects.filter(pk=pending.pk).first()
    if row is not None:
        deferred = _open(row)
        held |= {leg.provider for leg in deferred.legs}
        if deferred.commit is not None:
            held.add(row.provider)
    return held


def _open(row: DeferredRegistration) -> Deferred:
    try:
        return open_deferred(row)
    except SealBroken:
        raise SignInEnded from None


@retries_on_conflict
def connect(pending: PendingAuthorization, provider: Provider, success: Success) -> PendingAuthorization:
    """Keep what *provider* gave on a later leg: at once, or with the deferred registration.

    Raises:
        ProviderUnavailable: It gave no tokens, so there is nothing to connect.
        SignInEnded: The row expired, or moved on in another tab.
    """
    if success.commit is None:
        raise ProviderUnavailable("nothing_to_connect")
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        end_leg(pending)
        if pending.user is not None and mode_of(provider) == "immediate":
            provider.finalize(success.commit, user=pending.user, session_id=pending.pk)
        else:
            _defer(pending, provider, success)
    pending.status = Status.AUTHENTICATED
    return pending


def _defer(pending: PendingAuthorization, provider: Provider, success: Success) -> None:
    leg = Leg(provider.name, success.commit or {})
    row = DeferredRegistration.objects.select_for_update().filter(pk=pending.pk).first()
    if row is None:
        defer(pending, success.identity, None, legs=(leg,))
        return
    deferred = _open(row)
    others = tuple(other for other in deferred.legs if other.provider != leg.provider)
    legs = (*others, leg)
    defer(pending, deferred.identity, deferred.commit, legs=legs, upstream_sid=row.upstream_sid)
