"""A provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0).

What the person signed in to with it ends here: sessions, flows that could become one, and the provider's tokens. Of an
account that was only connected, the tokens go and the session stays.

Not here: how a session ends and its client is told (``end``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, router, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import InvalidRequest, ProviderError, ProviderUnavailable, TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import (
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
    UsedLogoutToken,
)
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.verify import VerifiedLogout
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault import leave

from . import end, flows

logger = logging.getLogger("django_lazyauth.upstream")

#: How long a token is remembered after it is refused for its age. More than two clocks may differ.
MARGIN: Final = timedelta(minutes=2)
#: Tokens of one provider that are remembered. It bounds the table, and comes back within minutes.
LIMIT: Final = 10_000


@sensitive_variables("logout_token")
def take(provider_name: str, logout_token: str) -> int:
    """Check a logout token, and end what it says. Return how many sessions ended; none is no error (§2.7).

    Raises:
        InvalidRequest: A check failed, it was taken before, or the provider sends none. Nothing ends.
        TemporarilyUnavailable: The provider's keys cannot be fetched now, or it sent too many tokens.
    """
    provider = _provider(provider_name)
    try:
        verified = provider.verify_logout(logout_token)
    except ProviderUnavailable as error:
        raise TemporarilyUnavailable(debug=error.detail) from None
    except ProviderError as error:
        raise _refused(provider.name, error.detail) from None
    return _end(provider.name, provider.accounts, verified)


def _provider(name: str) -> OpenIDProvider:
    try:
        provider = get_provider(name)
        if isinstance(provider, OpenIDProvider) and provider.descriptor.people.backchannel_logout:
            return provider
    except ProviderUnavailable as error:
        if error.reason != "not_configured":
            raise TemporarilyUnavailable(debug=error.detail) from None
    raise InvalidRequest("No logout tokens are taken at this address.")


def _refused(name: str, reason: str) -> InvalidRequest:
    logger.warning("a logout token of %s was refused: %s", name, reason)
    return InvalidRequest("The logout token is not valid.")


@retries_on_conflict
def _end(name: str, accounts: str, logout: VerifiedLogout) -> int:
    """End what *logout* names. The token is spent in the same transaction, so a failure lets the provider try again.

    Args:
        accounts: The name that the provider's identities are kept under.
    """
    with transaction.atomic(using=flows.database()):
        _spend(name, logout)
        if logout.sid:
            return _end_session_there(name, accounts, logout)
        return _end_person(name, accounts, logout.subject)


def _spend(name: str, logout: VerifiedLogout) -> None:
    """Remember the token, in the caller's transaction. Of two at once one goes on."""
    using = router.db_for_write(UsedLogoutToken)
    used, now = UsedLogoutToken.objects.using(using), timezone.now()
    remembered = used.filter(provider=name)
    if remembered.count() >= LIMIT:
        remembered.filter(expires_at__lt=now).delete()
        if remembered.count() >= LIMIT:
            raise TemporarilyUnavailable(debug="too many logout tokens")
    try:
        with transaction.atomic(using=using):
            used.create(
                provider=name,
                jti_digest=digest(logout.token_id),
                expires_at=max(logout.good_until, now) + MARGIN,
            )
    except IntegrityError:
        raise _refused(name, "used") from None


def _end_session_there(name: str, accounts: str, logout: VerifiedLogout) -> int:
    """End the sessions that began in one session at the provider.

    Raises:
        InvalidRequest: It is the session of another provider.
    """
    pointers = UpstreamToken.objects.using(flows.database()).filter(upstream_sid=logout.sid)
    # One tenant of the provider speaks for its own people only (I19).
    tenant = {"subject__startswith": f"{logout.tenant}:"} if logout.tenant else {}
    waiting = flows.signed_in_at(accounts, upstream_sid=logout.sid, **tenant)
    flow_ids = list(waiting.values_list("pk", flat=True))
    theirs = list(pointers.filter(provider=name, **tenant).values_list("session_id", "user_id"))
    if not theirs and not flow_ids and pointers.exists():
        raise _refused(name, "sid")
    connected = _connected(name, accounts, theirs)
    begun = {session for session, _ in theirs if session not in connected}
    ended = _end_sessions({*begun, *flow_ids, *_begun_beside(name, begun)})
    rows = PendingAuthorization.objects.using(flows.database()).filter(pk__in=begun)
    _end_browsers(set(rows.values_list("identity_id", flat=True)) - {None})
    leave.leave(pointers.filter(provider=name, session_id__in=connected))
    return ended


def _connected(name: str, accounts: str, sessions: Iterable[tuple[UUID, Any]]) -> set[UUID]:
    """Return those of *sessions* whose person signed in with another account, and only connected this one."""
    users = dict(sessions)
    theirs = ProviderIdentity.objects.using(flows.database()).filter(
        provider=accounts, user_id__in=set(users.values())
    )
    ways_in = set(theirs.values_list("pk", "user_id"))
    rows = PendingAuthorization.objects.using(flows.database()).filter(pk__in=list(users))
    return {
        pk
        for pk, identity, provider in rows.values_list("pk", "identity_id", "provider")
        if ((identity, users[pk]) not in ways_in if identity is not None else provider != name)
    }


def _begun_beside(name: str, session_ids: Iterable[UUID]) -> set[UUID]:
    """Return the requests that were answered by the same sign-in in the browser, at this client or at others.

    Those that asked the provider themselves have a ``sid`` of their own. Two sign-ins may have one ``auth_time``: it
    has whole seconds.
    """
    rows = PendingAuthorization.objects.using(flows.database())
    signed_in = rows.filter(pk__in=list(session_ids), identity_id__isnull=False, auth_time__isnull=False)
    found: set[UUID] = set()
    for user, identity, moment in set(signed_in.values_list("user_id", "identity_id", "auth_time")):
        beside = rows.filter(user_id=user, identity_id=identity, auth_time=moment)
        found.update(beside.filter(deferred__isnull=True).values_list("pk", flat=True))
    asked = UpstreamToken.objects.using(flows.database()).filter(provider=name, session_id__in=found)
    return found - set(asked.values_list("session_id", flat=True))


def _end_person(name: str, accounts: str, subject: str) -> int:
    """End all that one account at the provider signed in."""
    using, ended = flows.database(), 0
    flows.end_flows(flows.signed_in_at(accounts, subject=subject))
    identity = ProviderIdentity.objects.using(using).filter(provider=accounts, subject=subject).first()
    if identity is not None:
        flows.end_flows(flows.of_identity(identity))
        begun = PendingAuthorization.objects.using(using).filter(
            flows.signed_in_with(identity), status=Status.EXCHANGED
        )
        ended = _end_sessions(begun.values_list("pk", flat=True))
        _end_browsers([identity.pk])
    leave.leave(UpstreamToken.objects.filter(provider=name, subject=subject))
    return ended


def _end_browsers(identity_ids: Iterable[Any]) -> None:
    """End the sign-ins of browsers on this site (:func:`.browser.current_user`)."""
    rows = ProviderIdentity.objects.using(flows.database()).filter(pk__in=sorted(identity_ids))
    rows.update(signed_out_at=timezone.now())


def _end_sessions(session_ids: Iterable[UUID]) -> int:
    """End requests, or the sessions that they became. In one order, for two tokens may arrive at once."""
    return sum(map(end.end_flow, sorted(session_ids)))
