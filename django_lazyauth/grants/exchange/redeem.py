"""Redeem what a person allowed: user, identity, upstream tokens and our tokens in ONE transaction (RFC 6749 §4.1.3).

Anything but a 200 rolls the whole transaction back, and what was presented stays usable.

Not here: what proves that the client may redeem it. A code and a device differ there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, OAuthError
from django_lazyauth.kit.retry import is_conflict
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Reason, Status
from django_lazyauth.models.locked_code import LockedCode
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in import deferred as registration
from django_lazyauth.tokens.grantee import Authentication, Grantee
from django_lazyauth.tokens.id import has_verified_email
from django_lazyauth.tokens.issue import Issued, issue
from django_lazyauth.tokens.writes import Delete, Insert, Step, Update
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_methods import BY_KEY
from django_lazyauth.toolkit.scopes import OFFLINE_ACCESS, narrow
from django_lazyauth.users.subjects import subject_for

from ..checks import chosen_resources
from ..contract import Form, Outcome, Prepared, Raced, TokenAnswer
from ..proof import require_proof, thumbprint_of, write
from .person import Person, Unfinishable, check_provider, finalize, identity_id


@dataclass(frozen=True, slots=True)
class Redeemed:
    """New tokens, and what is still to be written with them.

    Attributes:
        resources: The audience of the access token; empty where that is this site.
    """

    issued: Issued
    resources: tuple[str, ...]
    person: Person
    steps: tuple[Step, ...]


def judged(locked: LockedCode | None, work: Callable[[], Outcome]) -> Outcome:
    """Do *work* on what was locked, and say what has to follow where it fails."""
    pending = locked.pending if locked else None
    try:
        return work()
    except Unfinishable as refusal:
        return Outcome(TokenAnswer.of_error(refusal), discarded=pending)
    except OAuthError as refusal:
        if pending is None or pending.status != Status.EXCHANGED:
            raise
        # What was exchanged before shows that a copy exists: end what came of it (I2).
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


def require_good(locked: LockedCode, client: clients.Client) -> None:
    """Check that what *client* presented may be redeemed now, by it, and for this person.

    Raises:
        InvalidGrant: It may not.
    """
    pending = locked.pending
    is_good = (
        pending.client_id == client.pk
        and pending.status == Status.CODE_ISSUED
        and pending.code_expires_at is not None
        and pending.code_expires_at > timezone.now()
        and (pending.user is None or pending.user.is_active)
        # What the sign-in rests on may have ended since (I21).
        and (pending.identity_id is None or locked.identity_user_id == pending.user_id)
    )
    if not is_good:
        raise InvalidGrant
    check_provider(pending)


def redeem(form: Form, prepared: Prepared, locked: LockedCode, client: clients.Client) -> Redeemed:
    """Write the person, and make the tokens, after every check. Nothing is spent yet: see :func:`finish`."""
    pending = locked.pending
    _check_proof(client, pending, prepared)
    granted_resources = tuple(dict.fromkeys(pending.resource))
    resources = chosen_resources(form, granted_resources)
    person = finalize(locked)
    scopes = tuple(narrow(client, pending.scopes))
    asks_email = {"openid", "email"} <= set(scopes)
    grantee = Grantee(
        client=client,
        user=person.user,
        subject=subject_for(person.user, client, is_new=person.identity is not None),
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
    steps = (*person.steps, *map(Insert, issued.rows), *_spend(locked, person, prepared))
    return Redeemed(issued, resources, person, steps)


def finish(
    redeemed: Redeemed, pending: PendingAuthorization, prepared: Prepared, also: Iterable[Step] = ()
) -> Outcome:
    """Write all that :func:`redeem` made, and the steps *also*, and return the answer."""
    write((*redeemed.steps, *also), prepared.proof, prepared.unspent)
    if redeemed.person.changed_password:
        # The change was made in this browser, and it ended the browser's own sign-in too.
        browser.let_resume(pending)
    issued = redeemed.issued
    return Outcome(TokenAnswer(issued.body), access_token=issued.access_token, pending=pending)


def _check_proof(client: clients.Client, pending: PendingAuthorization, prepared: Prepared) -> None:
    """What was asked for with a key is worth nothing without it (RFC 9449 §10)."""
    if pending.jkt and thumbprint_of(prepared.proof) != pending.jkt:
        raise InvalidGrant("The code is bound to another key.")
    require_proof(client, prepared.proof)


def _spend(locked: LockedCode, person: Person, prepared: Prepared) -> list[Step]:
    """Return the steps that spend what was presented, and drop what waited for it."""
    now = timezone.now()
    spent = Update(
        PendingAuthorization,
        {
            "status": Status.EXCHANGED,
            "user_id": person.user.pk,
            "identity_id": identity_id(locked, person),
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
