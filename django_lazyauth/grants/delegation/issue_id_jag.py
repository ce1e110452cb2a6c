"""This site is the organisation: it says to another server what a client may have there for one of its people.

Token exchange with ``requested_token_type`` ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant §4.3). Nothing is
written: the answer is signed and short-lived.

Not here: what another organisation says to us (:mod:`.id_jag`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.clients.authenticate import prove
from django_lazyauth.conf import IdJagAudience, lazyauth_settings
from django_lazyauth.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
)
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.openid.resource_indicators import named_of
from django_lazyauth.tokens import binding, family, keys, refresh
from django_lazyauth.tokens.grantee import HOW, Authentication
from django_lazyauth.tokens.id import has_verified_email, user_claims
from django_lazyauth.tokens.logout_token import read_hint
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.toolkit.scopes import requested_scopes
from django_lazyauth.users.subjects import subject_for

from ..checks import requested_resources
from ..contract import Form, Outcome, Prepared, TokenAnswer
from ..proof import require_proof, thumbprint_of, write

ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"
#: ``typ`` of what is signed.
TYPE: Final = "oauth-id-jag+jwt"
LIFETIME: Final = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class _Signed:
    """Whom the subject token is about: somebody who is signed in at the client now."""

    user: Any
    scopes: tuple[str, ...]
    authentication: Authentication
    #: Whether the session is bound to a key, and began with a client assertion: its tokens are good with these only.
    is_bound: bool
    needs_key: bool


def issue_id_jag(form: Form, prepared: Prepared) -> Outcome:
    """Answer a request for an ID-JAG.

    Raises:
        OAuthError: The request, the client or the subject token is refused, or the host's policy refuses.
    """
    client = prove(form.credentials, by_key=prepared.by_key)
    audience = _audience(form)
    terms = lazyauth_settings.id_jag_audiences[audience]
    known_as = terms.clients.get(client.client_id)
    if known_as is None or not client_methods.must_prove(client):
        raise UnauthorizedClient
    if form.get("actor_token") or form.get("actor_token_type"):
        raise InvalidRequest("Nobody else acts with an ID-JAG.")
    subject = _subject(form, client)
    if subject.needs_key and prepared.by_key is None:
        raise InvalidClient("The tokens of this session are good with a client assertion only.")
    require_proof(client, prepared.proof, began_bound=subject.is_bound)
    resources = _resources(form, terms.resources)
    scopes = _scopes(form, terms.scopes)
    if (policy := lazyauth_settings.id_jag_policy) is not None:
        granted = frozenset(policy(subject.user, client, audience, resources, scopes))
        scopes = tuple(scope for scope in scopes if scope in granted)
    if not scopes:
        raise InvalidScope("This person may have none of the scopes there.")
    claims = {
        "aud": audience,
        "client_id": known_as,
        "resource": resources[0] if len(resources) == 1 else list(resources),
        "scope": " ".join(scopes),
        **_claims_of(subject, client, terms),
        **binding.confirmation(thumbprint_of(prepared.proof)),
    }
    write((), prepared.proof)
    return Outcome(TokenAnswer(json.dumps(_answer(claims, scopes))))


def _answer(claims: dict[str, Any], scopes: tuple[str, ...]) -> dict[str, Any]:
    issued_at = int(timezone.now().timestamp())
    seconds = int(LIFETIME.total_seconds())
    times = {"iat": issued_at, "exp": issued_at + seconds, "jti": str(uuid.uuid4())}
    signed = keys.sign({"iss": lazyauth_settings.issuer, **claims, **times}, key=keys.key_for(), typ=TYPE)
    return {
        "issued_token_type": ID_JAG,
        "access_token": signed,
        # It is no access token (RFC 8693 §2.2.1).
        "token_type": "N_A",
        "scope": " ".join(scopes),
        "expires_in": seconds,
    }


def _claims_of(subject: _Signed, client: clients.Client, terms: IdJagAudience) -> dict[str, Any]:
    """Return who it is, by the ``sub`` that the other server knows from its own sign-in here (draft §4.3)."""
    knows_them_by = clients.find_client(terms.sso_client) if terms.sso_client else client
    is_verified = "email" in subject.scopes and has_verified_email(subject.user)
    brought = {"openid", "email"} & {"openid", *subject.scopes}
    return {
        **user_claims(
            subject.user,
            brought,
            subject=subject_for(subject.user, knows_them_by or client),
            email_verified=is_verified,
        ),
        **subject.authentication.claims(),
    }


# -- for whom ----------------------------------------------------------------------------------------------


@sensitive_variables()
def _subject(form: Form, client: clients.Client) -> _Signed:
    """Return whom the subject token is about. It is the client's own, and its session lives.

    Raises:
        InvalidRequest: It is not valid here (RFC 8693 §2.2.2).
    """
    token, kind = form.require("subject_token"), form.require("subject_token_type")
    now = timezone.now()
    session_id = None
    if kind == ID_TOKEN:
        hint = read_hint(token)
        if hint is not None and hint.client_id == client.client_id and now.timestamp() < hint.expires_at:
            session_id = hint.session_id
    elif kind == REFRESH_TOKEN:
        # It is not spent. One that was ends no session here.
        row = refresh.find(token)
        if row is not None and row.application_id == client.pk and refresh.is_good(row, now):
            session_id = row.token_family
    session = None
    if session_id is not None:
        rows = PendingAuthorization.objects.filter(pk=session_id, client=client, status=Status.EXCHANGED)
        session = family.with_live_tokens(rows).select_related("user").first()
    if session is None or session.user is None or not session.user.is_active:
        raise InvalidRequest("The subject token is not valid here.")
    how = Authentication.of_columns(*(getattr(session, name) for name in HOW))
    is_bound, needs_key = bool(session.jkt), bool(session.client_auth)
    return _Signed(session.user, tuple(session.scopes), how, is_bound, needs_key)


# -- the ceilings ------------------------------------------------------------------------------------------


def _audience(form: Form) -> str:
    known = lazyauth_settings.id_jag_audiences
    if len(form.audiences) != 1 or form.audiences[0] not in known:
        raise InvalidTarget("audience is the issuer of a server that this site knows.")
    if form.audiences[0] == lazyauth_settings.issuer:
        raise InvalidTarget("This server needs no assertion of its own.")
    return form.audiences[0]


def _resources(form: Form, allowed: tuple[str, ...]) -> tuple[str, ...]:
    asked = requested_resources(form) or (allowed if len(allowed) == 1 else ())
    chosen = named_of(asked, allowed)
    if not chosen:
        raise InvalidTarget("Name a resource that the operator allows there.")
    return chosen


def _scopes(form: Form, allowed: tuple[str, ...]) -> tuple[str, ...]:
    scope = form.get("scope")
    asked = tuple(dict.fromkeys(requested_scopes(scope))) if scope else allowed
    if not set(asked) <= set(allowed):
        raise InvalidScope("The operator does not allow such a scope there.")
    return asked
