"""Redeem a code: user, identity, upstream tokens and our tokens in ONE transaction (RFC 6749 §4.1.3).

Anything but a 200 rolls the whole transaction back, and the code stays usable.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from django_lazyauth.authorize.consent import consent_of, widened_consent
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    InvalidGrant,
    InvalidRequest,
    OAuthError,
    ProviderError,
    RegistrationRefused,
    SealBroken,
)
from django_lazyauth.kit.retry import is_conflict
from django_lazyauth.models import (
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Reason,
    Status,
)
from django_lazyauth.models.locked_code import LockedCode, lock_code
from django_lazyauth.providers.base import SyncTerms
from django_lazyauth.providers.registry import get_provider, is_on
from django_lazyauth.sessions import browser, end
from django_lazyauth.sign_in import deferred as registration
from django_lazyauth.sign_in import returning
from django_lazyauth.tokens.grantee import Authentication, Grantee
from django_lazyauth.tokens.id import has_verified_email
from django_lazyauth.tokens.issue import issue
from django_lazyauth.tokens.writes import Delete, Insert, Step, Update
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_methods import BY_KEY
from django_lazyauth.toolkit.scopes import OFFLINE_ACCESS, narrow

from .checks import authenticated_client, chosen_resources
from .contract import Form, Outcome, Prepared, Raced, TokenAnswer
from .proof import require_proof, thumbprint_of, write

GRANT_TYPE: Final = "authorization_code"
_WAY_IN_IS_GONE: Final = "The way this person signed in is not available any more."


class _Unfinishable(InvalidGrant):
    """The deferred registration can never be written."""


def authorization_code(form: Form, prepared: Prepared) -> Outcome:
    """Answer a token request with a code (RFC 6749 §4.1.3)."""
    locked = lock_code(form.require("code"))
    pending = locked.pending if locked else None
    try:
        return _redeem(form, prepared, locked)
    except _Unfinishable as refusal:
        return Outcome(TokenAnswer.of_error(refusal), discarded=pending)
    except OAuthError as refusal:
        if pending is None or pending.status != Status.EXCHANGED:
            raise
        # A code that was exchanged before shows that a copy exists: end what came of it (I2).
        return Outcome.of_refusal(refusal, ended_session=pending.pk)
    except registration.Taken:
        taken = InvalidGrant("An account with this name or address exists already; nothing was written.")
        outcome = Outcome(TokenAnswer.of_error(taken), discarded=pending, reason=Reason.DUPLICATE)
        raise Raced(outcome) from None
    except Exception as error:
        # Whatever a host's receiver or a provider raises is counted. A conflict is tried again first.
        if pending is None or pending.status != Status.CODE_ISSUED or is_conflict(error):
            raise
        return Outcome(TokenAnswer(""), pending=pending).failed(error)


def _redeem(form: Form, prepared: Prepared, locked: LockedCode | None) -> Outcome:
    client = authenticated_client(form, prepared, GRANT_TYPE, locked.pending.client if locked else None)
    if locked is None or not _is_good(locked, client):
        raise InvalidGrant
    pending = locked.pending
    _check_provider(pending)
    _check_verifier(form, pending)
    _check_redirect_uri(form, client, pending)
    _check_proof(client, pending, prepared)
    granted_resources = tuple(dict.fromkeys(pending.resource))
    resources = chosen_resources(form, granted_resources)
    person = _finalize(locked)
    scopes = tuple(narrow(client, pending.scopes))
    asks_email = {"openid", "email"} <= set(scopes)
    grantee = Grantee(
        client=client,
        user=person.user,
        scopes=scopes,
        resources=resources,
        granted_resources=granted_resources,
        session_id=pending.pk,
        authentication=Authentication(pending.auth_time, tuple(pending.amr), pending.acr),
        nonce=pending.nonce,
        email_verified=asks_email and has_verified_email(person.user, person.identity),
        has_refresh_token=True,
        jkt=thumbprint_of(prepared.proof),
        is_offline=lazyauth_settings.refresh_tokens == "always" or OFFLINE_ACCESS in scopes,
    )
    issued = issue(grantee)
    write((*person.steps, *map(Insert, issued.rows), *_spend(locked, person, prepared)), prepared.proof)
    if person.changed_password:
        # The change was made in this browser, and it ended the browser's own sign-in too.
        browser.let_resume(pending)
    return Outcome(TokenAnswer(issued.body), access_token=issued.access_token, pending=pending)


# -- the checks ------------------------------------------------------------------------------------------------


def _is_good(locked: LockedCode, client: clients.Client) -> bool:
    pending = locked.pending
    return (
        pending.client_id == client.pk
        and pending.status == Status.CODE_ISSUED
        and pending.code_expires_at is not None
        and pending.code_expires_at > timezone.now()
        and (pending.user is None or pending.user.is_active)
        # What the sign-in rests on may have ended since (I21).
        and (pending.identity_id is None or locked.identity_user_id == pending.user_id)
    )


def _check_provider(pending: PendingAuthorization) -> None:
    """The way the person signed in may have been taken away since (I21)."""
    if pending.provider and not is_on(pending.provider):
        raise InvalidGrant(_WAY_IN_IS_GONE)


def _check_verifier(form: Form, pending: PendingAuthorization) -> None:
    """PKCE, always with S256 (RFC 7636 §4.6)."""
    verifier = form.require("code_verifier", "Code verifier required.")
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    if not hmac.compare_digest(hashed, pending.code_challenge):
        raise InvalidGrant


def _check_redirect_uri(form: Form, client: clients.Client, pending: PendingAuthorization) -> None:
    """The very URI of the authorization request (RFC 6749 §4.1.3). A client that has only one may leave it out."""
    redirect_uri = form.get("redirect_uri")
    if not redirect_uri:
        registered = client.redirect_uris.split()
        if len(registered) != 1:
            raise InvalidRequest("Missing redirect URI.")
        (redirect_uri,) = registered
    if redirect_uri != pending.redirect_uri:
        raise InvalidGrant("redirect_uri is not the one of the authorization request.")


def _check_proof(client: clients.Client, pending: PendingAuthorization, prepared: Prepared) -> None:
    """A code that was asked for with a key is worth nothing without it (RFC 9449 §10)."""
    if pending.jkt and thumbprint_of(prepared.proof) != pending.jkt:
        raise InvalidGrant("The code is bound to another key.")
    require_proof(client, prepared.proof)


# -- the person ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Person:
    """Whom the tokens are for.

    Attributes:
        identity: Written just now; ``None`` for a user who existed.
        steps: What is still to be written about them.
    """

    user: AbstractBaseUser
    identity: ProviderIdentity | None = None
    steps: tuple[Step, ...] = ()
    changed_password: bool = False


def _finalize(locked: LockedCode) -> _Person:
    """Write the person and what the provider committed: after every check of the code, before any token."""
    if locked.deferred is None:
        if locked.user is None:
            raise InvalidGrant
        return _Person(locked.user)
    try:
        person = _write_deferred(locked, locked.deferred)
    except RegistrationRefused as refused:
        raise _Unfinishable(refused.description) from None
    except SealBroken:
        raise _Unfinishable("This sign-in can no longer be completed. Start again.") from None
    except registration.Deactivated:
        raise InvalidGrant("This account may not sign in.") from None
    except ProviderError as error:
        if error.reason != "not_configured":
            raise
        raise InvalidGrant(_WAY_IN_IS_GONE) from None
    if not person.user.is_active:
        # A receiver or the host's `sync` deactivated them a moment ago, which ended this sign-in.
        raise InvalidGrant("This account may not sign in.")
    return person


def _write_deferred(locked: LockedCode, row: DeferredRegistration) -> _Person:
    pending = locked.pending
    deferred = registration.open_deferred(row)
    provider = get_provider(row.provider)
    if locked.user is not None:
        person = _Person(locked.user)
    else:
        person = _register(locked, deferred, provider.sync_terms(), row.created_at)
    changed_password = False
    if deferred.commit is not None:
        changed_password = end.finalize(provider, deferred.commit, user=person.user, session_id=pending.pk)
    for leg in deferred.legs:
        get_provider(leg.provider).finalize(leg.commit, user=person.user, session_id=pending.pk)
    return _Person(person.user, person.identity, person.steps, changed_password)


def _register(
    locked: LockedCode, deferred: registration.Deferred, terms: SyncTerms, seen_at: datetime
) -> _Person:
    """Write the person who signed in at *seen_at*, or find who was written since then."""
    pending, identity = locked.pending, None
    user: AbstractBaseUser
    if locked.known_identity_id is not None:
        link = registration.known_person(deferred.identity)
        follows = returning.lock(link, deferred.identity, terms)
        returning.rewrite(
            link, deferred.identity, terms, follows=follows, session_id=pending.pk, seen_at=seen_at
        )
        user = link.user
        consent = widened_consent(pending, user.pk)
    else:
        user, identity = registration.write_person(deferred.identity, terms, pending=pending, seen_at=seen_at)
        consent = consent_of(
            user.pk, client=pending.client, scopes=pending.scopes, resources=pending.resource
        )
    return _Person(user, identity, (consent,))


def _identity_id(locked: LockedCode, person: _Person) -> int | None:
    """Return the key of the identity that the person signed in with."""
    if person.identity is not None:
        return person.identity.pk
    return locked.pending.identity_id if locked.pending.user_id is not None else locked.known_identity_id


# -- the code --------------------------------------------------------------------------------------------------


def _spend(locked: LockedCode, person: _Person, prepared: Prepared) -> list[Step]:
    """Return the steps that spend the code, and drop what waited for it."""
    now = timezone.now()
    spent = Update(
        PendingAuthorization,
        {
            "status": Status.EXCHANGED,
            "user_id": person.user.pk,
            "identity_id": _identity_id(locked, person),
            "exchanged_at": now,
            "updated_at": now,
            # From now on: when the sweep looks at the row.
            "expires_at": now + lazyauth_settings.code_retention,
            "private": "",
            **({"client_auth": BY_KEY} if prepared.by_key is not None else {}),
            **({"jkt": prepared.proof.thumbprint} if prepared.proof is not None else {}),
        },
        where={"session_id": locked.pending.pk, "status": Status.CODE_ISSUED},
    )
    if locked.deferred is None:
        return [spent]
    return [spent, Delete(DeferredRegistration, {"pending_id": locked.pending.pk})]
