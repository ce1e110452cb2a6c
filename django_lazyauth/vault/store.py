"""Write and list upstream token bundles, one per (session, provider).

A caller names session, provider, user and client of a bundle; if one is wrong, nothing is found. The tokens stand in
the grant: a session that brings a refresh token has a new one, and a session that brings none may join that of another
session of the same person.

Not here: any call to an upstream, and how a session leaves its grant (:mod:`.leave`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import BundleNotFound, SealBroken
from django_lazyauth.kit.retry import StaleSnapshot
from django_lazyauth.models import GrantState, UpstreamGrant, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.models.grant import scope_digest
from django_lazyauth.tokens.writes import Insert, Upsert, Writes

from .cipher import get_cipher
from .leave import delete, leave_unused, lock
from .places import GRANT_COLUMNS, GrantKey, key_of, place_of, seal_ticket
from .read import SEALED_COLUMNS, database, read, stored_of
from .tokens import Binding, GrantTerms, UpstreamBundle, UpstreamTokens

logger = logging.getLogger("django_lazyauth.vault")

__all__ = ["BundleNotFound", "UpstreamBundle", "columns_of", "delete", "get", "get_all", "store"]

UNIQUE: Final = ("session_id", "provider")
#: What a session's row holds of tokens once it has a grant: nothing.
EMPTIED: Final[dict[str, Any]] = {
    **dict.fromkeys(("access_token", "refresh_token", "lease"), ""),
    **dict.fromkeys(("expires_at", "refresh_expires_at", "lease_until")),
    "is_dead": False,
}
NO_TERMS: Final = GrantTerms()


@sensitive_variables()
def columns_of(bundle: UpstreamBundle) -> dict[str, Any]:
    """Return the token columns of a row that holds its tokens itself, sealed; an absent token stays empty."""
    cipher = get_cipher()
    columns = bundle.values()
    for name in SEALED_COLUMNS:
        if columns[name]:
            columns[name] = cipher.seal(columns[name], place_of(bundle.session_id, bundle.provider, name))
    return columns


@sensitive_variables()
def grant_columns(tokens: UpstreamTokens, key: GrantKey) -> dict[str, Any]:
    """Return the token columns of a grant, sealed where they hold a token."""
    cipher = get_cipher()
    columns = {name: value for name, value in tokens.values().items() if name != "id_token"}
    for name in GRANT_COLUMNS:
        if columns[name]:
            columns[name] = cipher.seal(columns[name], key.place(name))
    return columns


@sensitive_variables()
def store(bundle: UpstreamBundle, terms: GrantTerms = NO_TERMS) -> None:
    """Write *bundle* for its (session, provider), replacing what is stored there.

    A refresh of the old bundle that is still running writes nothing. If *bundle* has no refresh token, the session
    stays with its earlier grant of the same subject. A new session joins the newest standing grant of the same person,
    provider, client, subject and scopes. Never that of another subject.

    In the caller's transaction, or in one of its own: one INSERT of both rows, and one SELECT before it where there is
    no refresh token.

    Args:
        terms: What the provider's configuration says of the grant.
    """
    with transaction.atomic(using=database(), savepoint=False):
        joined = None if bundle.refresh_token else _joined(bundle, terms)
        if joined is None:
            _write(bundle, new_grant(bundle, terms), is_new=True)
        else:
            _take_access_token(joined, bundle)
            _write(bundle, joined, is_new=False)


@sensitive_variables()
def new_grant(bundle: UpstreamBundle, terms: GrantTerms, **values: Any) -> UpstreamGrant:
    """Return an unsaved grant with the tokens of *bundle*; *values* are further columns."""
    grant = UpstreamGrant(
        pk=uuid7(),
        user_id=bundle.user_id,
        provider=terms.keeper(bundle.provider),
        upstream_client=terms.upstream_client,
        subject=bundle.subject,
        scope_digest=_digest_of(bundle.scope, terms),
        is_standing=terms.is_standing and bool(bundle.refresh_token),
        revocation=terms.revocation,
        **values,
    )
    for name, value in grant_columns(bundle, key_of(grant)).items():
        setattr(grant, name, value)
    return grant


# -- joining ---------------------------------------------------------------------------------------------------


def can_join(terms: GrantTerms, user_id: Any, provider: str, subject: str, scope: str) -> bool:
    """Say whether a session without a refresh token would now live on a grant that has one."""
    if not terms.is_standing:
        return False
    grants = UpstreamGrant.objects.using(database()).joinable()
    return grants.filter(
        _standing(terms, scope), user_id=user_id, provider=terms.keeper(provider), subject=subject
    ).exists()


def _standing(terms: GrantTerms, scope: str) -> Q:
    return Q(is_standing=True, upstream_client=terms.upstream_client, scope_digest=_digest_of(scope, terms))


def _digest_of(scope: str, terms: GrantTerms) -> str:
    """Return the digest of *scope* without what asks for refresh tokens: a sign-in that brings none may lack it."""
    return scope_digest(" ".join(one for one in scope.split() if one not in terms.offline_scopes))


def _joined(bundle: UpstreamBundle, terms: GrantTerms) -> UpstreamGrant | None:
    """Return the grant that a session without a refresh token lives on, locked: its own, or a standing one.

    Whoever leaves a grant locks it too. So it is not found where its last session has just left it.
    """
    own = UpstreamToken.objects.filter(
        session_id=bundle.session_id,
        provider=bundle.provider,
        user_id=bundle.user_id,
        client_id=bundle.client_id,
        subject=bundle.subject,
        grant__isnull=False,
    )
    is_theirs = Q(pk__in=own.values("grant_id"))
    if terms.is_standing:
        is_theirs |= _standing(terms, bundle.scope)
    grants = UpstreamGrant.objects.using(database()).filter(
        is_theirs,
        state=GrantState.LIVE,
        user_id=bundle.user_id,
        # Its own may be from before the two shared.
        provider__in={bundle.provider, terms.keeper(bundle.provider)},
        subject=bundle.subject,
    )
    return grants.order_by("-created_at", "-pk").select_for_update().first()


@sensitive_variables()
def _take_access_token(grant: UpstreamGrant, bundle: UpstreamBundle) -> None:
    """Give *grant* the access token of *bundle* if that ends later, and nobody is renewing the grant."""
    changes: dict[str, Any] = {"updated_at": timezone.now()}
    is_leased = grant.lease_until is not None and grant.lease_until > timezone.now()
    if not is_leased and _ends_later(bundle.expires_at, grant.expires_at):
        columns = grant_columns(bundle, key_of(grant))
        changes |= {name: columns[name] for name in ("access_token", "token_type", "expires_at")}
        changes |= {"version": F("version") + 1, "lease": ""}
    # A change in any case: see `leave.lock`.
    UpstreamGrant.objects.using(database()).filter(pk=grant.pk).update(**changes)


def _ends_later(new: datetime | None, old: datetime | None) -> bool:
    """Say whether *new* is the later end. A token of unknown end is as good as the upstream says."""
    return new is None or (old is not None and new > old)


# -- the two rows ------------------------------------------------------------------------------------------------


@sensitive_variables()
def _write(bundle: UpstreamBundle, grant: UpstreamGrant, *, is_new: bool) -> None:
    """Let the session of *bundle* live on *grant*."""
    cipher = get_cipher()
    row = UpstreamToken(
        session_id=bundle.session_id,
        provider=bundle.provider,
        user_id=bundle.user_id,
        client_id=bundle.client_id,
        subject=bundle.subject,
        grant=grant,
        ticket=seal_ticket(bundle.session_id, bundle.provider, key_of(grant)),
        upstream_sid=bundle.upstream_sid or None,
        retain_until=timezone.now() + lazyauth_settings.vault_retention,
    )
    if bundle.id_token:
        row.id_token = cipher.seal(bundle.id_token, place_of(row.session_id, row.provider, "id_token"))
    absent = Upsert(row, UNIQUE, update=())
    Writes((Insert(grant), absent) if is_new else (absent,)).run()
    if not row._state.adding:
        return
    stood = _replace(row)
    if is_new:
        _succeed(stood, grant, bundle)
    if stood.grant_id not in (None, grant.pk):
        leave_unused([stood.grant_id])


#: How often a row is looked up that a concurrent transaction is moving.
TRIES: Final = 3
REPLACED: Final = (
    "user_id",
    "client_id",
    "subject",
    "upstream_sid",
    "grant_id",
    "ticket",
    "id_token",
    "retain_until",
)


def _replace(row: UpstreamToken) -> UpstreamToken:
    """Put *row* in the place of the one that stands. Return that one; its grant is locked and may be unused now."""
    rows = UpstreamToken.objects.using(database()).filter(session_id=row.session_id, provider=row.provider)
    for _ in range(TRIES):
        stood = rows.select_related("grant").get()
        if stood.grant_id is not None:
            lock([stood.grant_id])
        if rows.filter(pk=stood.pk, grant_id=stood.grant_id).update(
            **{name: getattr(row, name) for name in REPLACED},
            **EMPTIED,
            updated_at=timezone.now(),
        ):
            return stood
    raise StaleSnapshot


@sensitive_variables()
def _succeed(stood: UpstreamToken, grant: UpstreamGrant, bundle: UpstreamBundle) -> None:
    """Let the new grant of a session go on where the one before ended.

    It goes on with the version, and with the refresh token that a row of an earlier release holds, where the sign-in
    of the same subject brought none.
    """
    before = stored_of(stood)
    changes: dict[str, Any] = {"version": before.version + 1}
    if not bundle.refresh_token and before.grant_id is None and _is_same(stood, bundle):
        with suppress(SealBroken):
            kept = before.bundle()
            carried = bundle.with_refresh_token(kept.refresh_token, kept.refresh_expires_at)
            changes |= grant_columns(carried, key_of(grant))
    UpstreamGrant.objects.using(database()).filter(pk=grant.pk).update(**changes)


def _is_same(stood: UpstreamToken, bundle: UpstreamBundle) -> bool:
    return not stood.is_dead and (stood.user_id, stood.client_id, stood.subject) == (
        bundle.user_id,
        bundle.client_id,
        bundle.subject,
    )


# -- reading -----------------------------------------------------------------------------------------------------


@sensitive_variables()
def get(session_id: UUID, provider: str, *, user_id: Any, client_id: Any) -> UpstreamBundle:
    """Return the bundle, expired or not.

    Raises:
        BundleNotFound: There is none for exactly these four.
        SealBroken: It cannot be opened. The person has to sign in at the upstream again.
    """
    return read(Binding(session_id, provider, user_id, client_id)).bundle()


def get_all(session_id: UUID) -> Iterator[UpstreamBundle]:
    """Yield the bundles of a session, expired ones too. One that cannot be opened is skipped with a warning."""
    rows = UpstreamToken.objects.of_session(session_id).select_related("grant").order_by("provider")
    for row in rows:
        try:
            yield stored_of(row).bundle()
        except SealBroken:
            logger.warning("skipped an upstream token that cannot be opened (provider %s)", row.provider)
