"""Use a refresh token: one successor a use, and the same answer again within the grace (RFC 6749 §6, I10).

``scope`` and ``resource`` choose within the grant of the session for one access token. The new refresh token is worth
what the old one was.

A token that was used longer ago than the grace shows that a copy of it exists: its session ends (RFC 9700 §4.14).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from django.utils import timezone

from django_lazyauth.errors import InvalidClient, InvalidGrant, InvalidScope, InvalidTarget
from django_lazyauth.kit.observe.log_context import note_session
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.resource_indicators import named_of
from django_lazyauth.tokens import refresh
from django_lazyauth.tokens.grantee import Granted, Grantee
from django_lazyauth.tokens.id import has_verified_email
from django_lazyauth.tokens.issue import Issued, issue
from django_lazyauth.tokens.kept_answer import KeptAnswer, Used, find_kept, keep
from django_lazyauth.tokens.writes import Insert, Step
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.toolkit.scopes import OFFLINE_ACCESS, narrow, requested_scopes
from django_lazyauth.users.subjects import subject_in

from .checks import authenticated_client, chosen_resources
from .contract import Form, Outcome, Prepared, TokenAnswer
from .proof import require_proof, require_unused, thumbprint_of, write

GRANT_TYPE: Final = "refresh_token"


def refresh_token(form: Form, prepared: Prepared) -> Outcome:
    """Answer a token request with a refresh token (RFC 6749 §6)."""
    token = form.require("refresh_token", "Missing refresh token parameter.")
    locked = refresh.lock(token)
    client = authenticated_client(form, prepared, GRANT_TYPE, locked.row.application if locked else None)
    now = timezone.now()
    if locked is None or locked.row.application_id != client.pk:
        raise InvalidGrant
    _check_key(locked, prepared)
    _check_proof(locked, client, prepared.proof)
    row = locked.row
    note_session(row.token_family)
    if row.revoked is not None:
        return _answer_again(form, prepared, client, locked, token, now)
    if not refresh.is_good(row, now):
        raise InvalidGrant
    # What DOT issued before it knew families gets one now, so that a replay has something to end.
    row.token_family = row.token_family or uuid.uuid4()
    granted = locked.granted or refresh.found_grant(row)
    scopes = _scopes(form, client, granted)
    is_openid = "openid" in scopes
    grantee = Grantee(
        client=client,
        user=row.user,
        subject=subject_in(row.token_family, row.user, client),
        scopes=scopes,
        resources=chosen_resources(form, granted.resources),
        granted_resources=granted.resources,
        session_id=row.token_family,
        authentication=locked.authentication,
        email_verified=is_openid and "email" in scopes and has_verified_email(row.user),
        has_refresh_token=True,
        jkt=thumbprint_of(prepared.proof),
        source=row,
    )
    issued = issue(grantee)
    write(_steps(locked, granted, grantee, issued, token, now), prepared.proof, prepared.unspent)
    return Outcome(TokenAnswer(issued.body), access_token=issued.access_token)


def _steps(
    locked: refresh.LockedToken, granted: Granted, grantee: Grantee, issued: Issued, token: str, now: datetime
) -> list[Step]:
    """Return what a use writes: the new tokens, the spent one, and what is kept for a retry."""
    row = locked.row
    first_key = grantee.jkt if _is_public(locked, grantee.client) and not locked.jkt else ""
    if locked.granted is None:
        session = [refresh.write_down(granted, row, now, first_key)]
    else:
        session = refresh.bind(locked, first_key, now) if first_key else []
    spent = refresh.spend(row, now)
    kept = keep(issued.body, grantee.resources, grantee.jkt, Used.of_refresh_token(row, token))
    id_token = [Insert(issued.id_token)] if issued.id_token is not None else []
    facts = [Insert(issued.facts)] if issued.facts is not None else []
    tokens = (spent, Insert(issued.access_token), Insert(issued.refresh_token))
    return [*id_token, *session, *tokens, *facts, *kept]


def _check_key(locked: refresh.LockedToken, prepared: Prepared) -> None:
    """A session whose code came with an assertion is refreshed with one only, whatever the client registers later."""
    if locked.needs_key and prepared.by_key is None:
        raise InvalidClient("The tokens of this session are refreshed with a client assertion only.")


def _check_proof(locked: refresh.LockedToken, client: clients.Client, proof: Proof | None) -> None:
    """A public client's refresh token works with the first key of its session only (RFC 9449 §5).

    It comes before all that a used token leads to: who stole one and has no key must not be able to end the session. A
    client that proves itself may change its key.
    """
    if locked.jkt and _is_public(locked, client):
        # One from before the session was bound was used since. That a copy of it exists has to end the session.
        if thumbprint_of(proof) != locked.jkt and refresh.is_bound(locked):
            raise InvalidGrant("The refresh token is bound to another key.")
    else:
        require_proof(client, proof, began_bound=bool(locked.jkt))


def _is_public(locked: refresh.LockedToken, client: clients.Client) -> bool:
    """Say whether nothing but the refresh token proves where a request comes from."""
    return not (locked.needs_key or client_methods.must_prove(client))


def _scopes(form: Form, client: clients.Client, granted: Granted) -> tuple[str, ...]:
    """Return the scopes of this access token: those asked for, all of which were granted (RFC 6749 §6, I20)."""
    allowed = narrow(client, list(granted.scopes))
    scope = form.get("scope")
    if not scope:
        return tuple(allowed)
    asked = dict.fromkeys(requested_scopes(scope))
    if OFFLINE_ACCESS not in allowed:
        # The authorization endpoint dropped it too, and the client repeats what it asked for there.
        asked.pop(OFFLINE_ACCESS, None)
    if not asked.keys() <= set(allowed):
        raise InvalidScope("A scope is asked for that was not granted.")
    return tuple(asked)


# -- a retry ---------------------------------------------------------------------------------------------------


def _answer_again(
    form: Form,
    prepared: Prepared,
    client: clients.Client,
    locked: refresh.LockedToken,
    token: str,
    now: datetime,
) -> Outcome:
    """Answer a client that presents a spent token: within the grace as before, later with the end of its session."""
    row = locked.row
    if not row.token_family:
        raise InvalidGrant
    kept = find_kept(Used.of_refresh_token(row, token), now)
    if kept is None:
        # A copy of an earlier request shows no reuse by who has the key: it must not end the session.
        require_unused(prepared.proof)
        return Outcome.of_refusal(InvalidGrant(), ended_session=row.token_family)
    if not row.user.is_active or not refresh.is_young(row, now):
        raise InvalidGrant
    if thumbprint_of(prepared.proof) != kept.jkt:
        refusal = InvalidGrant("This refresh token was used with another key just now.")
        if not (kept.jkt and _is_public(locked, client)):
            raise refusal
        # Whoever has that key took the session for themselves, and it may not be their own.
        return Outcome.of_refusal(refusal, ended_session=row.token_family)
    _check_retry(form, client, kept)
    write((), prepared.proof, prepared.unspent)
    return Outcome(TokenAnswer(kept.body))


def _check_retry(form: Form, client: clients.Client, kept: KeptAnswer) -> None:
    """Refuse a retry that asks for less than it would get (I20, RFC 8707 §2.2)."""
    scope = form.get("scope")
    if scope and not kept.scopes <= set(requested_scopes(scope)):
        raise InvalidScope("This refresh token was used for more scopes just now.")
    if not kept.scopes <= set(narrow(client, sorted(kept.scopes))):
        raise InvalidScope("This client gave up a scope of that answer.")
    if form.resources and not (kept.resources and named_of(kept.resources, form.resources)):
        raise InvalidTarget("This refresh token was used for another resource just now.")
