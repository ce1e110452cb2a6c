"""Revoke the refresh tokens of grants that their last session left, and delete the grants (RFC 7009).

Each is a row that waits. A sign-out does not wait for it: a thread tries what is due after the commit, and the sweep
tries what is left of a process that ended. After five attempts the row goes in any case.

A refresh token whose revocation ends all that the person allowed there is revoked only if no session is left on any
grant of that token endpoint, client and subject, whatever the provider is called here and whoever the user is.

Not here: which grants wait (:mod:`django_lazyauth.vault.leave`).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import F, Min, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderError, RefreshExpired, RefreshUnavailable, SealBroken
from django_lazyauth.kit.background import Threads
from django_lazyauth.models import GrantState, ProviderIdentity, Revocation, UpstreamGrant
from django_lazyauth.providers.base import CanRevoke, Provider, UnusableAnswer
from django_lazyauth.providers.code_flow import CodeFlow
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault.cipher import get_cipher
from django_lazyauth.vault.places import NO_SESSION, key_of
from django_lazyauth.vault.read import database
from django_lazyauth.vault.store import grant_columns
from django_lazyauth.vault.tokens import UpstreamBundle

logger = logging.getLogger("django_lazyauth.vault")

ATTEMPTS: Final = 5
#: The pause after the first attempt. It doubles with each.
PAUSE: Final = timedelta(seconds=10)
#: Grants of one query.
PAGE: Final = 100
#: Bounds of the seconds between two queries: clocks differ.
SHORTEST_SLEEP: Final = 0.2
LONGEST_SLEEP: Final = 60.0

#: One thread revokes. One more start may wait and reads the rows after the first.
_threads = Threads("revocations", threads=1, queue=1, daemon=True)


def start() -> None:
    """Revoke what waits, in a thread. Never raises or waits: the sessions have ended in any case."""
    try:
        _threads.submit(_revoke_all)
    except Exception as error:  # noqa: BLE001 - a thread may not start; the rows wait.
        logger.error("revocations could not be started: %s", type(error).__name__)


def _revoke_all() -> None:
    """Revoke until nothing waits any more, or another start is queued."""
    while True:
        revoke_due()
        seconds = _seconds_to_next()
        connections.close_all()
        if seconds is None or _threads.wait_for_work(min(max(seconds, SHORTEST_SLEEP), LONGEST_SLEEP)):
            return


def revoke_due() -> int:
    """Try each revocation that is due once. Return how many grants have gone."""
    gone, tried = 0, set[UUID]()
    while page := list(_waiting().filter(next_attempt_at__lte=Now()).exclude(pk__in=tried)[:PAGE]):
        tried.update(grant.pk for grant in page)
        gone += sum(map(_attempt, page))
    return gone


def _waiting() -> QuerySet[UpstreamGrant]:
    return UpstreamGrant.objects.using(database()).filter(state=GrantState.LEAVING)


def _seconds_to_next() -> float | None:
    earliest = _waiting().aggregate(at=Min("next_attempt_at"))["at"]
    return None if earliest is None else float((earliest - timezone.now()).total_seconds())


def _attempt(grant: UpstreamGrant) -> bool:
    """Try one revocation, unless another process does; say whether the grant has gone."""
    row = _waiting().filter(pk=grant.pk)
    mine = row.filter(attempts=grant.attempts, next_attempt_at__lte=Now()).update(
        attempts=F("attempts") + 1, next_attempt_at=Now() + PAUSE * 2**grant.attempts
    )
    if not mine:
        return False
    try:
        outcome = _revoke(grant)
    except Exception as error:  # noqa: BLE001 - a host's provider may raise anything; its text may hold a token
        outcome = error.detail if isinstance(error, ProviderError) else type(error).__name__
        if grant.attempts + 1 < ATTEMPTS:
            return False
        logger.warning("an upstream refresh token was not revoked (%s, provider %s)", outcome, grant.provider)
    else:
        if outcome == "revoked":
            ProviderIdentity.objects.ask_again(grant.user_id, grant.subject)
        logger.info("upstream grant left", extra={"provider": grant.provider, "outcome": outcome})
    return bool(row.delete()[0])


@sensitive_variables()
def _revoke(grant: UpstreamGrant) -> str:
    """Revoke the refresh token of *grant* if that is still asked for; return what was done, in a word.

    Raises:
        ProviderError: The upstream does not answer.
    """
    try:
        provider = get_provider(grant.provider)
    except (ProviderError, ImproperlyConfigured):
        return "not_configured"
    flow = provider if isinstance(provider, CodeFlow) else None
    kind = provider.grant_terms().revocation
    is_asked_for = kind == Revocation.TOKEN or (kind == Revocation.GRANT and grant.is_withdrawn)
    if not is_asked_for or not isinstance(provider, CanRevoke):
        return "not_asked_for"
    if kind == Revocation.GRANT and _is_lived_on(grant, provider):
        return "others_live_on_it"
    try:
        bundle = _opened(grant)
    except SealBroken:
        return "sealed"
    if flow is not None and flow.revokes_by_access_token:
        if grant.expires_at is not None and grant.expires_at <= timezone.now():
            try:
                bundle = _renewed(grant, flow, bundle)
            except RefreshExpired:
                return "refresh_refused"
    elif bundle.refresh_token:
        # An access token ends by itself.
        bundle = replace(bundle, access_token="")
    else:
        return "not_asked_for"
    provider.revoke(bundle)
    return "revoked"


@sensitive_variables()
def _opened(grant: UpstreamGrant) -> UpstreamBundle:
    """Return the tokens of a grant that no session has.

    Raises:
        SealBroken: One cannot be opened.
    """
    key, cipher = key_of(grant), get_cipher()

    def opened(column: str) -> str:
        sealed = getattr(grant, column)
        return cipher.open(sealed, key.place(column)) if sealed else ""

    return UpstreamBundle(
        session_id=NO_SESSION,
        provider=grant.provider,
        user_id=grant.user_id,
        client_id=None,
        subject=grant.subject,
        scope=grant.scope,
        refresh_expires_at=grant.refresh_expires_at,
        access_token=opened("access_token"),
        refresh_token=opened("refresh_token"),
    )


@sensitive_variables()
def _renewed(grant: UpstreamGrant, provider: CodeFlow, bundle: UpstreamBundle) -> UpstreamBundle:
    """Renew the access token by which a grant is revoked. Nobody else does: no session has the grant.

    What came is kept, because the next attempt could not spend the same refresh token again.

    Raises:
        RefreshExpired: The upstream has ended the grant itself.
        RefreshError: It renews nothing now.
    """
    if not bundle.refresh_token:
        return bundle
    answer = provider.refresh(bundle)
    if isinstance(answer, UnusableAnswer):
        raise RefreshUnavailable(grant.provider, answer.reason)
    renewed = bundle.renewed_by(answer)
    _waiting().filter(pk=grant.pk).update(**grant_columns(renewed, key_of(grant)))
    return renewed


def _is_lived_on(grant: UpstreamGrant, provider: Provider) -> bool:
    """Say whether a session lives on another grant of the same token endpoint, client and subject."""
    grants = UpstreamGrant.objects.using(database())
    others = grants.used().filter(upstream_client=grant.upstream_client, subject=grant.subject)
    names = set(others.values_list("provider", flat=True))
    return grant.provider in names or any(_token_endpoint(name) == _endpoint_of(provider) for name in names)


def _token_endpoint(name: str) -> str | None:
    try:
        return _endpoint_of(get_provider(name))
    except (ProviderError, ImproperlyConfigured):
        # Of a provider that is gone nobody knows. Its sessions get no tokens.
        return None


def _endpoint_of(provider: Provider) -> str:
    """Return the token endpoint; the name of a provider that is no code flow."""
    return provider.endpoints().token if isinstance(provider, CodeFlow) else f"provider:{provider.name}"
