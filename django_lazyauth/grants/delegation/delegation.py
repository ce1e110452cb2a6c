"""May this client act for this person, and how far at most: the operator's word and the token of the person (I26).

What it reads is the client and the token that it presents. Nothing is written here, and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.clients.authenticate import prove
from django_lazyauth.conf import ExchangePolicy, lazyauth_settings, with_contained
from django_lazyauth.errors import InvalidRequest, InvalidScope, InvalidTarget, UnauthorizedClient
from django_lazyauth.openid.resource_indicators import named_of
from django_lazyauth.tokens.bearer import Bearer, find_bearer_beside_client
from django_lazyauth.tokens.grantee import Authentication
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.toolkit.scopes import narrow, requested_scopes
from django_lazyauth.users.subjects import subject_of

from ..checks import is_meant_for, requested_resources
from ..contract import Form, Prepared
from ..proof import require_proof, thumbprint_of

#: What a token is (RFC 8693 §3). Access tokens of ours are exchanged, and nothing else.
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
#: Who acts for whom for whom: entries of an ``act`` claim.
MAX_ACTORS: Final = 5


@dataclass(frozen=True, slots=True)
class Delegation:
    """Who wants to act for whom, and what bounds it.

    Attributes:
        client: Who asks. It proved itself.
        policy: What the operator lets it have.
        subject: The token of the person, alive, and the client's or meant for it.
        session_id: The session of that token.
        authentication: How the person signed in.
    """

    client: clients.Client
    policy: ExchangePolicy
    subject: Bearer
    session_id: UUID
    authentication: Authentication


@sensitive_variables()
def delegation_of(form: Form, prepared: Prepared) -> Delegation:
    """Return what a request to exchange a token is about (RFC 8693 §2.1).

    Raises:
        InvalidRequest: A parameter is missing, or the token is unknown, ended, of another kind, or not its business.
        InvalidClient: The client failed to authenticate.
        UnauthorizedClient: The operator lets it exchange nothing.
        InvalidDpopProof: A key is needed.
    """
    _check_types(form)
    subject, authentication, named = find_bearer_beside_client(
        form.require("subject_token"), form.credentials.named
    )
    client = prove(form.credentials, named, by_key=prepared.by_key)
    policy = lazyauth_settings.token_exchange.get(client.client_id)
    if policy is None or not client_methods.must_prove(client):
        raise UnauthorizedClient
    session_id = subject.session_id if subject is not None and is_meant_for(client, subject) else None
    # A client that acts for itself has no session, so nothing that it handed on would end.
    if subject is None or session_id is None or subject.user is None:
        raise InvalidRequest("The subject token is not valid here.")
    require_proof(client, prepared.proof, began_bound=bool(subject.jkt) and not policy.unbound)
    return Delegation(client, policy, subject, session_id, authentication)


def _check_types(form: Form) -> None:
    if form.require("subject_token_type") != ACCESS_TOKEN:
        raise InvalidRequest("The subject token must be an access token of this server.")
    if form.get("requested_token_type") not in ("", ACCESS_TOKEN):
        raise InvalidRequest("Access tokens are issued here, and no other type.")
    if bool(form.get("actor_token")) != bool(form.get("actor_token_type")):
        raise InvalidRequest("actor_token and actor_token_type come together.")
    if form.get("actor_token_type") not in ("", ACCESS_TOKEN):
        raise InvalidRequest("The actor token must be an access token of this server.")


# -- the ceilings ------------------------------------------------------------------------------------------


def audience(form: Form, policy: ExchangePolicy) -> tuple[str, ...]:
    """Return what the new token is for: what the request names of the policy, or the only one that this has.

    Raises:
        InvalidTarget: It names another, or none of several.
    """
    asked = tuple(dict.fromkeys((*requested_resources(form), *form.audiences)))
    if not asked and len(policy.audiences) == 1:
        return policy.audiences
    if not asked:
        raise InvalidTarget("Name the resource or audience that the token is for.")
    chosen = named_of(asked, policy.audiences)
    if chosen is None:
        raise InvalidTarget("This client may not act there.")
    return chosen


def scopes(form: Form, delegation: Delegation) -> tuple[str, ...]:
    """Return the scopes of the new token: those asked for, else all that the token and the policy both allow.

    Raises:
        InvalidScope: More is asked for, or nothing is left.
    """
    hierarchy = lazyauth_settings.scope_hierarchy
    held = with_contained(delegation.subject.scopes, hierarchy)
    both = held & with_contained(delegation.policy.scopes, hierarchy)
    allowed = narrow(delegation.client, sorted(both))
    scope = form.get("scope")
    asked = list(dict.fromkeys(requested_scopes(scope))) if scope else allowed
    if not asked or not set(asked) <= set(allowed):
        raise InvalidScope("The token and the policy for this client allow no such scope.")
    return tuple(asked)


# -- who acts ----------------------------------------------------------------------------------------------


@sensitive_variables()
def actors(form: Form, prepared: Prepared, delegation: Delegation) -> Mapping[str, Any]:
    """Return the ``act`` claim: who acts now, and within it who acted before (RFC 8693 §4.1).

    Raises:
        InvalidRequest: The actor token is not valid here, or too many act already.
    """
    act: dict[str, Any] = {"sub": _actor(form, prepared, delegation)}
    if delegation.subject.act is not None:
        act["act"] = delegation.subject.act
    if _depth(act) > MAX_ACTORS:
        raise InvalidRequest(f"A token is handed on {MAX_ACTORS} times at most.")
    return act


@sensitive_variables()
def _actor(form: Form, prepared: Prepared, delegation: Delegation) -> str:
    client, token = delegation.client, form.get("actor_token")
    if not token:
        return str(client.client_id)
    if not delegation.policy.actors:
        raise InvalidRequest("This client may name nobody else who acts.")
    actor, _authentication, _client = find_bearer_beside_client(token, client.client_id)
    is_own = actor is not None and actor.access_token.application_id == client.pk and actor.act is None
    # It is the client's own, so the client has its key (I24).
    if actor is None or not is_own or (actor.jkt and actor.jkt != thumbprint_of(prepared.proof)):
        raise InvalidRequest("The actor token is not valid here.")
    return subject_of(actor) if actor.user is not None else str(client.client_id)


def _depth(act: Mapping[str, Any]) -> int:
    earlier = act.get("act")
    return 1 + (_depth(earlier) if earlier is not None else 0)
