"""An organisation lets a client act for one of its people here: MCP enterprise-managed authorization.

RFC 7523 §2.1 with draft-ietf-oauth-identity-assertion-authz-grant. The organisation consented, so nobody is asked. The
person, the session and the tokens are written in one transaction, and the assertion is used up with them.

Not here: whether the assertion holds (:mod:`.asserted`).
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError
from django.utils import timezone

from django_lazyauth.clients.authenticate import authenticate
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, InvalidScope, InvalidTarget, RegistrationRefused
from django_lazyauth.models import (
    GrantKind,
    PendingAuthorization,
    ProofKind,
    ProviderIdentity,
    Status,
    UsedProof,
)
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.resource_indicators import named_of
from django_lazyauth.providers.registry import is_on
from django_lazyauth.sign_in import deferred as registration
from django_lazyauth.sign_in import returning
from django_lazyauth.tokens.grantee import Authentication, Grantee
from django_lazyauth.tokens.issue import issue
from django_lazyauth.tokens.writes import Insert
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_methods import BY_KEY
from django_lazyauth.toolkit.scopes import OFFLINE_ACCESS, narrow, requested_scopes
from django_lazyauth.users.subjects import subject_for

from ..checks import check_resources, requested_resources
from ..contract import Asserted, Form, Outcome, Prepared, Raced, TokenAnswer
from ..proof import require_proof, thumbprint_of, write
from .asserted import check_client

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: What the metadata calls it (draft §7.2).
PROFILE: Final = "urn:ietf:params:oauth:grant-profile:id-jag"
#: How long a used assertion is remembered after it has expired: more than clocks differ.
MARGIN: Final = timedelta(minutes=5)


def id_jag(form: Form, prepared: Prepared) -> Outcome:
    """Answer a request with an ID-JAG (draft §4.4)."""
    asserted = prepared.asserted
    if asserted is None:
        raise InvalidGrant
    client = _client(form, prepared, asserted)
    scopes, resources = _scopes(form, asserted, client), _resources(form, asserted)
    used = _use(asserted)
    if UsedProof.objects.filter(digest__in=[one.digest for one in used]).exists():
        raise InvalidGrant("The assertion was used before. Ask for a new one.")
    pending = _session(asserted, client, prepared, scopes, resources)
    try:
        user, identity, is_new = _person(asserted, pending)
        pending.user = user  # type: ignore[assignment]  # the host's user model
        pending.identity_id = identity.pk
        issued = issue(_grantee(asserted, client, pending, subject_for(user, client, is_new=is_new)))
        write(map(Insert, (*used, pending, *issued.rows)), prepared.proof)
    except RegistrationRefused as refused:
        raise InvalidGrant(refused.description) from None
    except registration.Deactivated:
        raise InvalidGrant("This account may not sign in.") from None
    except registration.Taken:
        raise _raced("An account with this name or address exists already; nothing was written.") from None
    except IntegrityError as error:
        if not registration.is_unique_violation(error):
            raise
        raise _raced("The assertion was used before. Ask for a new one.") from None
    return Outcome(TokenAnswer(issued.body), access_token=issued.access_token)


def _raced(description: str) -> Raced:
    return Raced(Outcome(TokenAnswer.of_error(InvalidGrant(description))))


def _client(form: Form, prepared: Prepared, asserted: Asserted) -> clients.Client:
    """Return the client as it stands in this transaction; an operator may have disabled it, or the provider."""
    client = authenticate(form.credentials, by_key=prepared.by_key)
    check_client(client, asserted.policy)
    if not is_on(asserted.provider.name):
        raise InvalidGrant("The assertion is not valid here.")
    if asserted.granted.jkt and thumbprint_of(prepared.proof) != asserted.granted.jkt:
        raise InvalidGrant("The assertion is bound to another key.")
    require_proof(client, prepared.proof)
    return client


# -- the ceilings ------------------------------------------------------------------------------------------


def _scopes(form: Form, asserted: Asserted, client: clients.Client) -> tuple[str, ...]:
    """Return what organisation, operator, client and request all name (I26)."""
    allowed = [scope for scope in asserted.policy.scopes if scope not in ("openid", OFFLINE_ACCESS)]
    allowed = narrow(client, [scope for scope in allowed if not scope.startswith("upstream:")])
    if asserted.granted.scopes is not None:
        allowed = [scope for scope in allowed if scope in asserted.granted.scopes]
    if scope := form.get("scope"):
        asked = set(requested_scopes(scope))
        allowed = [one for one in allowed if one in asked]
    if not allowed:
        raise InvalidScope("Assertion, operator and client allow no such scope.")
    return tuple(allowed)


def _resources(form: Form, asserted: Asserted) -> tuple[str, ...]:
    """Return what the token is for: what the request names of the assertion's resources, else all of them.

    Raises:
        InvalidGrant: The assertion names no resource.
        InvalidTarget: The request names another, or the operator did not.
    """
    granted = asserted.granted.resources
    if not granted and asserted.policy.require_resource:
        raise InvalidGrant("The assertion names no resource.")
    ceiling = granted or asserted.policy.resources
    named = named_of(requested_resources(form) or ceiling, ceiling)
    chosen = named_of(named or (), asserted.policy.resources)
    if not chosen:
        raise InvalidTarget("The organisation or the operator does not allow this resource.")
    check_resources(chosen)
    return chosen


# -- what is written ---------------------------------------------------------------------------------------


def _use(asserted: Asserted) -> list[UsedProof]:
    """Return the unsaved row that uses the assertion up. It outlives session and person, so that neither comes back."""
    if asserted.policy.reusable:
        return []
    granted = asserted.granted
    return [
        UsedProof.of(
            ProofKind.ID_JAG,
            signer=asserted.issuer,
            token_id=granted.token_id,
            expires_at=granted.identity.expires_at + MARGIN,
        )
    ]


def _session(
    asserted: Asserted,
    client: clients.Client,
    prepared: Prepared,
    scopes: tuple[str, ...],
    resources: tuple[str, ...],
) -> PendingAuthorization:
    """Return the unsaved session."""
    now, granted, signed_in = timezone.now(), asserted.granted, asserted.signed_in
    return PendingAuthorization(
        status=Status.EXCHANGED,
        grant=GrantKind.ID_JAG,
        client=client,
        provider=asserted.provider.name,
        scope=" ".join(scopes),
        resource=list(resources),
        auth_time=signed_in.auth_time,
        amr=list(signed_in.amr),
        acr=signed_in.acr,
        jkt=thumbprint_of(prepared.proof),
        client_auth=BY_KEY if prepared.by_key is not None else "",
        # A session has one; nobody knows the code of this one.
        code_digest=digest(secrets.token_urlsafe(32)),
        code_expires_at=granted.identity.expires_at,
        # By the organisation. No consent of the person is written: a later request in a browser asks them.
        consented_at=now,
        exchanged_at=now,
        expires_at=now + lazyauth_settings.code_retention,
    )


def _person(
    asserted: Asserted, pending: PendingAuthorization
) -> tuple[AbstractBaseUser, ProviderIdentity, bool]:
    """Return the user, and whether they were never here and are written now."""
    identity, now = asserted.signed_in.identity, timezone.now()
    terms = returning.terms_of(identity, asserted.provider)
    link = registration.known_identity(identity, session_id=pending.pk)
    if link is None:
        if not asserted.policy.new_people:
            raise InvalidGrant("This person has no account here.")
        return *registration.write_person(identity, terms, pending=pending, seen_at=now), True
    # No row of this session can be seen before the commit. So whoever deactivates the person waits for it, and ends it.
    returning.lock_user(link)
    follows = returning.lock(link, identity, terms)
    returning.rewrite(link, identity, terms, follows=follows, session_id=pending.pk, seen_at=now)
    if not link.user.is_active:
        raise registration.Deactivated
    return link.user, link, False


def _grantee(
    asserted: Asserted, client: clients.Client, pending: PendingAuthorization, subject: str
) -> Grantee:
    return Grantee(
        client=client,
        user=pending.user,
        subject=subject,
        scopes=tuple(pending.scopes),
        resources=tuple(pending.resource),
        granted_resources=tuple(pending.resource),
        session_id=pending.pk,
        authentication=Authentication(pending.auth_time, tuple(pending.amr), pending.acr),
        # The session hangs on the row. Its token is told to nobody.
        has_refresh_token=True,
        is_offline=False,
        jkt=pending.jkt,
        act=asserted.granted.act,
    )
