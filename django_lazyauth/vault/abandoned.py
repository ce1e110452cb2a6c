"""Sign-ins that nobody lives on: what they deferred goes, and their refresh tokens wait to be revoked.

A person who closes the page at our consent has allowed something at the upstream by then. What came of it is sealed in
the deferred registration. It moves from there into a grant that is leaving, sealed anew for its place, and nobody waits
for the upstream. The same becomes of the tokens of a sign-in that is refused here, or that only links an account.

In the caller's transaction, or in one of its own. Who calls holds the rows of the requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import DeferredRegistration, GrantState, UpstreamGrant

from .cipher import get_cipher
from .leave import kinds_revoked, tell_of_left
from .places import NO_SESSION, deferral_place
from .read import database
from .store import new_grant
from .tokens import GrantTerms, UpstreamBundle, UpstreamTokens


def abandon(session_ids: Iterable[UUID], *, withdrawn: bool = False) -> None:
    """Delete what these requests deferred.

    Args:
        session_ids: The keys of the requests.
        withdrawn: See :func:`.leave.leave_unused`.
    """
    keys = list(session_ids)
    with transaction.atomic(using=database(), savepoint=False):
        # Of two callers one finds the row: a refresh token stands in one row and is never copied.
        deferred = DeferredRegistration.objects.using(database()).filter(pk__in=keys)
        rows = list(deferred.order_by("pk").select_for_update())
        if rows:
            _leave(rows, withdrawn=withdrawn)
            deferred.filter(pk__in=[row.pk for row in rows]).delete()


@sensitive_variables()
def abandon_commit(provider: str, commit: Mapping[str, Any] | None) -> None:
    """Let the refresh token in *commit* be revoked, which a sign-in at *provider* brought and nobody keeps.

    Args:
        commit: What the provider would have written; ``None`` writes nothing.
    """
    if commit is not None:
        with transaction.atomic(using=database(), savepoint=False):
            _write(_grants_from([(provider, commit)], withdrawn=False))


@sensitive_variables()
def _leave(rows: Iterable[DeferredRegistration], *, withdrawn: bool) -> None:
    _write(grant for row in rows for grant in _grants_of(row, withdrawn=withdrawn))


@sensitive_variables()
def _write(leaving: Iterable[UpstreamGrant]) -> None:
    grants = list(leaving)
    if grants:
        UpstreamGrant.objects.using(database()).bulk_create(grants)
        tell_of_left()


@sensitive_variables()
def _grants_of(row: DeferredRegistration, *, withdrawn: bool) -> Iterator[UpstreamGrant]:
    """Yield a leaving grant for each token in *row* that is to be revoked. One that no key opens is left out."""
    try:
        payload = json.loads(get_cipher().open(row.commit, deferral_place(row.pending_id, row.provider)))
    except SealBroken:
        return
    legs = [
        (row.provider, payload["commit"]),
        *((leg["provider"], leg["commit"]) for leg in payload.get("legs", ())),
    ]
    yield from _grants_from(legs, withdrawn=withdrawn)


@sensitive_variables()
def _grants_from(legs: Iterable[tuple[str, Any]], *, withdrawn: bool) -> Iterator[UpstreamGrant]:
    for provider, commit in legs:
        try:
            tokens, terms = UpstreamTokens.from_json(commit), GrantTerms(**commit["terms"])
            subject = commit["subject"]
        except (LookupError, TypeError, ValueError):
            continue  # What a provider of the host committed is its own.
        has_tokens = tokens.refresh_token or (withdrawn and tokens.access_token)
        if has_tokens and terms.revocation in kinds_revoked(withdrawn=withdrawn):
            yield _leaving(tokens, terms, provider=provider, subject=subject, withdrawn=withdrawn)


@sensitive_variables()
def _leaving(
    tokens: UpstreamTokens, terms: GrantTerms, *, provider: str, subject: str, withdrawn: bool
) -> UpstreamGrant:
    values: dict[str, Any] = tokens.values()
    bundle = UpstreamBundle(
        **values, session_id=NO_SESSION, provider=provider, user_id=None, client_id=None, subject=subject
    )
    return new_grant(bundle, terms, state=GrantState.LEAVING, is_withdrawn=withdrawn, next_attempt_at=Now())
