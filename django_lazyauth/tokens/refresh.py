"""Refresh tokens: the row behind one, whether it can be used, and what its use writes (RFC 6749 §6, RFC 9700 §4.14).

Not here: what a client gets for one (``grants/refresh_token.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connections, router
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.db.transaction import TransactionManagementError

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import FamilyGrant, PendingAuthorization
from django_lazyauth.models.fields import digest
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import RefreshToken, get_refresh_token_model

from .grantee import HOW, Authentication, Granted
from .writes import Save, Step, Update, Upsert

#: What using a refresh token changes in its own row.
SPENT_FIELDS = ("revoked", "token_family", "updated")
#: How the person and the client authenticated, kept in the row of their authorization request.
_AUTHENTICATION = (*HOW, "client_auth")
#: Where the key stands that the session is bound to.
_BOUND_IN = ("session_jkt", "family_jkt")
#: What the person granted, kept in that row, or in a row of its own for a session that DOT began.
_GRANTED = ("scope", "resource")


@dataclass(frozen=True, slots=True)
class LockedToken:
    """What one SELECT found behind a refresh token.

    Attributes:
        row: The locked row, spent or not. Its user and client are loaded with it, the scope of its access token, and
            what bounds the client in its registration.
        authentication: How the person signed in, as far as it is still known.
        granted: What the person allowed the session; ``None`` for one that DOT began and that was not used here yet.
        needs_key: Whether the client authenticated with its key when the session began.
        jkt: Thumbprint of the key that the session is bound to; empty for bearer tokens.
        bound_in: The model whose row holds it; ``None`` while the session has no row.
    """

    row: RefreshToken
    authentication: Authentication
    granted: Granted | None
    needs_key: bool = False
    jkt: str = ""
    bound_in: type[PendingAuthorization] | type[FamilyGrant] | None = None


def find(token: str) -> RefreshToken | None:
    """Return the row of *token* with its user and access token, spent or not, of whichever client."""
    rows = get_refresh_token_model().objects.filter(token_checksum=digest(token))
    # Nothing but chance in the database forbids two rows of one token. The one that still works counts.
    return rows.order_by(F("revoked").desc(nulls_first=True)).select_related("access_token", "user").first()


def lock(token: str) -> LockedToken | None:
    """Return the row of *token*, locked until commit: of two that use a token at once, one waits. One query.

    Raises:
        TransactionManagementError: No transaction is open that could hold the lock.
    """
    using = router.db_for_write(get_refresh_token_model())
    if not connections[using].in_atomic_block:
        raise TransactionManagementError("A refresh token is locked until commit: open a transaction first.")
    found = _select(using).get_annotated(digest(token))
    if found is None:
        return None
    row, (*how, client_auth, scope, resources, session_jkt, family_jkt) = found
    granted = None if scope is None else Granted(tuple(scope.split()), tuple(resources or ()))
    holder = FamilyGrant if family_jkt is not None else None
    return LockedToken(
        row,
        Authentication.of_columns(*how),
        granted,
        needs_key=bool(client_auth),
        jkt=session_jkt or family_jkt or "",
        bound_in=PendingAuthorization if session_jkt is not None else holder,
    )


@cache
def _select(using: str) -> PreparedSelect[Any]:
    """Each refresh runs it, so it is compiled once (benchmark "refresh")."""
    of_self = ("self",) if connections[using].features.has_select_for_update_of else ()
    session = PendingAuthorization.objects.filter(pk=OuterRef("token_family"))
    of_family = FamilyGrant.objects.filter(pk=OuterRef("token_family"))
    annotations: dict[str, Any] = {
        f"session_{name}": Subquery(session.values(name)[:1]) for name in _AUTHENTICATION
    }
    for name in _GRANTED:
        annotations[f"session_{name}"] = Coalesce(
            Subquery(session.values(name)[:1]), Subquery(of_family.values(name)[:1])
        )
    for name, rows in zip(_BOUND_IN, (session, of_family), strict=True):
        annotations[name] = Subquery(rows.values("jkt")[:1])
    return PreparedSelect(
        get_refresh_token_model()
        .objects.using(using)
        .select_for_update(of=of_self)
        .annotate(**annotations)
        .filter(token_checksum=ASKED_FOR)
        .order_by(F("revoked").desc(nulls_first=True)),
        related={
            "access_token": ("scope",),
            "user": None,
            "application": None,
            f"application__{clients.REGISTRATION}": clients.BOUNDS,
        },
        annotations=list(annotations),
    )


# -- can it be used? -------------------------------------------------------------------------------------------


def is_good(row: RefreshToken, now: datetime) -> bool:
    """Say whether *row* can be used: not spent, its session alive, its user active, neither idle nor too old."""
    return (
        row.revoked is None
        # Without its access token it is an orphan: its session ended while it was being written.
        and row.access_token is not None
        and row.user.is_active
        and now < row.created + lazyauth_settings.refresh_token_idle_lifetime
        and is_young(row, now)
    )


def is_young(row: RefreshToken, now: datetime) -> bool:
    """Say whether the family of *row* may still live, used or not."""
    return now < started_at(row) + lazyauth_settings.refresh_token_lifetime


def started_at(row: RefreshToken) -> datetime:
    """Return when the first refresh token of this family was issued.

    A session of ours carries its birth in its id (UUIDv7). A family that DOT began is looked up.
    """
    family = row.token_family
    if family is None:
        return row.created  # type: ignore[no-any-return]  # DOT publishes no types
    if family.version == 7:
        return datetime.fromtimestamp((family.int >> 80) / 1000, tz=UTC)
    first = type(row).objects.using(row._state.db).filter(token_family=family).order_by("created").first()
    began: datetime = row.created if first is None else min(first.created, row.created)
    return began


def family_works(family: UUID) -> bool:
    """Say whether some refresh token of *family* can be used. Asked where they are written."""
    model = get_refresh_token_model()
    rows = model.objects.using(router.db_for_write(model)).filter(token_family=family)
    return bool(rows.filter(revoked__isnull=True, access_token__isnull=False).exists())


# -- its use ---------------------------------------------------------------------------------------------------


def spend(row: RefreshToken, now: datetime) -> Step:
    """Mark the locked *row* as used, and return the step that writes it.

    It keeps pointing to its access token, which stays good until it expires: a request may be under way with it.
    Whoever ends the family finds the token by it (:func:`.family.revoke`).
    """
    row.revoked, row.updated = now, now
    return Save(row, SPENT_FIELDS, while_null=("revoked",))


def found_grant(row: RefreshToken) -> Granted:
    """Return what a session that DOT began is worth at its first use here: what its tokens say."""
    return Granted(tuple(row.access_token.scope.split()), tuple(dict.fromkeys(row.resource)))


def is_bound(locked: LockedToken) -> bool:
    """Say whether this token of a bound session is bound itself: it was issued for a proof. One query for a used one.

    A session that began with bearer tokens has older ones. All of those were used: the one that was not is bound,
    whatever time a process wrote into it whose clock is behind.
    """
    if locked.bound_in is None:
        return False
    if locked.row.revoked is None:
        return True
    holder = locked.bound_in.objects.using(locked.row._state.db).filter(pk=locked.row.token_family)
    since = holder.values_list("bound_at", flat=True).first()
    return since is None or locked.row.created >= since


def bind(locked: LockedToken, jkt: str, now: datetime) -> list[Step]:
    """Return the step that binds a session to its first key. One without a row gets it with its grant.

    The token that is used now, and those before it, stay what they were: who presents one of them without the key shows
    that a copy exists, perhaps with whoever the key belongs to.
    """
    if locked.bound_in is None:
        return []
    where = {locked.bound_in._meta.pk.attname: locked.row.token_family, "jkt": ""}
    return [Update(locked.bound_in, {"jkt": jkt, "bound_at": now}, where=where)]


def write_down(granted: Granted, row: RefreshToken, now: datetime, jkt: str = "") -> Step:
    """Return the step that keeps *granted* as the grant of the family of *row*, and the key that it is bound to."""
    grant = FamilyGrant(
        family=row.token_family,
        scope=" ".join(granted.scopes),
        resource=list(granted.resources),
        jkt=jkt,
        bound_at=now if jkt else None,
        created_at=now,
    )
    return Upsert(grant, unique=("family",), update=("created_at",))
