"""Send a person to a provider a second time, for consent, because its answer brought no refresh token.

Google gives one with a consent only, and asks for that once. The row of the flow goes upstream again with secrets of
its own (I9), before anybody is signed in or written. What the first answer said waits sealed in that row: it counts
where the second one does not come.

A person is asked once in an authorization and once in 30 days, and nobody where a provider gave nothing three times.

Not here: whether a provider is asked for refresh tokens at all (the key ``offline``).
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import router, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderDenied, ProviderError
from django_lazyauth.kit.retry import known_by, retries_on_conflict
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.base import CanAskAgain, Identity, Json, Page, Provider, Redirect, Success
from django_lazyauth.upstream import health
from django_lazyauth.vault import store

from . import leg
from .complete import is_strong_enough
from .failures import reason_of

logger = logging.getLogger("django_lazyauth.upstream")

#: How often one person is asked: a page of consent that brings nothing is a nuisance.
PAUSE: Final = timedelta(days=30)
#: The provider could not, or would not, answer once more. The person did nothing wrong, and is known already.
NO_ANSWER: Final = frozenset({"down", "misconfigured", "needs_interaction"})
#: Where the first answer is in the private data of a leg.
FIRST: Final = "first"


@sensitive_variables()
def complete(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, private: Json
) -> Success | Page:
    """Return what the provider says, as its ``complete``. On the second leg its first word stands in for a failure.

    Raises:
        ProviderError: As ``complete``. ``cancelled``: the person did. ``needs_interaction``: the second answer is of
            another account than the first.
    """
    if FIRST not in private:
        return provider.complete(request, pending, private)
    first = _opened(private[FIRST])
    try:
        second = provider.complete(request, pending, private)
    except ProviderError as error:
        if reason_of(error) not in NO_ANSWER:
            raise
        logger.info("%s was asked for consent once more and did not answer: %s", provider.name, error.detail)
        if error.stage != "authorization":
            # What stands in the address that the browser comes back by, anybody can write: three of them must not keep
            # everybody from being asked.
            health.note_asked_again(provider.name, brought=False)
        return first
    if isinstance(second, Page):
        return second
    if _key(second.identity) != _key(first.identity):
        raise ProviderDenied("needs_interaction", stage="account", debug="another_account")
    health.note_asked_again(provider.name, brought=not _lacks_refresh_token(provider, second))
    return second


@sensitive_variables()
def begin(pending: PendingAuthorization, provider: Provider, success: Success) -> Redirect | None:
    """Return where the person goes for consent; ``None`` where they need not, or were asked lately.

    Raises:
        SignInMovedOn: The row moved on in another tab.
    """
    if (
        pending.asked_again_at is not None
        or not isinstance(provider, CanAskAgain)
        or not _lacks_refresh_token(provider, success)
        # What a provider of the host knows its users by is not kept, so the first answer could not stand in.
        or success.user is not None
        # Their names come from strangers, so nobody counts what they bring.
        or provider.name.startswith(SSO_PREFIX)
    ):
        return None
    link = _link_of(success.identity)
    if not is_strong_enough(pending, success.acr):
        return None
    if _will_be_refused(pending, link) or _has_grant(pending, link, provider, success):
        return None
    if not health.brings_refresh_tokens(provider.name):
        return None
    state = secrets.token_urlsafe(32)
    hint = success.identity.email or pending.login_hint
    try:
        uri = leg.callback_uri(provider)
        step = provider.begin_again(pending, state=state, callback_uri=uri, login_hint=hint)
    except ProviderError:
        return None
    private = leg.seal_private(pending, provider.name, step.private | {FIRST: _kept(success)})
    return step if _send(pending, link, state, private) else None


def _lacks_refresh_token(provider: Provider, success: Success) -> bool:
    return (
        isinstance(provider, CanAskAgain)
        and success.commit is not None
        and provider.lacks_refresh_token(success.commit)
    )


def _key(identity: Identity) -> tuple[str, str, str]:
    return identity.provider, identity.issuer, identity.subject


def _link_of(identity: Identity) -> ProviderIdentity | None:
    names = (identity.subject, *identity.legacy_subjects)
    links = ProviderIdentity.objects.filter(provider=identity.provider, subject__in=names)
    found = {link.subject: link for link in links.select_related("user")}
    return next((found[name] for name in names if name in found), None)


def _will_be_refused(pending: PendingAuthorization, link: ProviderIdentity | None) -> bool:
    """Say whether this site will not let the person in. They are not sent away for it first."""
    if leg.is_connecting(pending):
        return False
    if link is not None and not link.user.is_active:
        return True
    return bool(pending.subject_hint) and (link is None or str(link.user_id) != pending.subject_hint)


def _has_grant(
    pending: PendingAuthorization, link: ProviderIdentity | None, provider: Provider, success: Success
) -> bool:
    """Say whether the session will live on a grant that can be renewed."""
    user_id = pending.user_id if leg.is_connecting(pending) else link and link.user_id
    scope = (success.commit or {}).get("scope", "")
    return user_id is not None and store.can_join(
        provider.grant_terms(), user_id, provider.name, success.identity.subject, scope
    )


@sensitive_variables()
@retries_on_conflict
def _send(pending: PendingAuthorization, link: ProviderIdentity | None, state: str, private: str) -> bool:
    """Let the row wait for its second answer. Return ``False`` where the person was asked in another flow meanwhile.

    Raises:
        SignInMovedOn: The row moved on in another tab.
    """
    now, using = timezone.now(), router.db_for_write(PendingAuthorization)
    rows = PendingAuthorization.objects.using(using)
    values: dict[str, Any] = {"state_digest": digest(state), "private": private, "asked_again_at": now}
    with known_by(rows.filter(pk=pending.pk, state_digest=digest(state))), transaction.atomic(using=using):
        if link is not None and not _take_turn(link, now):
            return False
        waiting = rows.of_leg(pending).filter(asked_again_at=None)
        if not waiting.advance(pending.pk, from_status=(Status.SENT_UPSTREAM,), **values):
            raise leg.SignInMovedOn
    for name, value in values.items():
        setattr(pending, name, value)
    return True


def _take_turn(link: ProviderIdentity, now: datetime) -> bool:
    is_due = Q(asked_again_at=None) | Q(asked_again_at__lt=now - PAUSE)
    return bool(ProviderIdentity.objects.filter(is_due, pk=link.pk).update(asked_again_at=now))


# -- the first answer, in the private data of the second leg ---------------------------------------------------


@sensitive_variables()
def _kept(success: Success) -> Json:
    return {
        "identity": asdict(success.identity),
        "commit": success.commit,
        "auth_time": (success.auth_time or timezone.now()).isoformat(),
        "amr": list(success.amr),
        "acr": success.acr,
    }


@sensitive_variables()
def _opened(kept: Json) -> Success:
    return Success(
        Identity(**kept["identity"]),
        commit=kept["commit"],
        auth_time=datetime.fromisoformat(kept["auth_time"]),
        amr=tuple(kept["amr"]),
        acr=kept["acr"],
    )
