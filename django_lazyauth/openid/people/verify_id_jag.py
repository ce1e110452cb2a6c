"""Is this ID-JAG valid, and what does it let whom have (draft-ietf-oauth-identity-assertion-authz-grant §4.4)?

Like :mod:`django_lazyauth.openid.verify` it fetches nothing and stores nothing. For every input the result is a value
or :class:`TokenRejected`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.jose import Reason, TokenRejected, audiences, check_clean, required_text
from django_lazyauth.openid.key_set import KeySet
from django_lazyauth.openid.provider_kinds import IDENTIFIER_LIMIT
from django_lazyauth.openid.verify import VerifiedIdentity, verify_assertion

from .id_jag import IdJagPolicy

#: In lower case, as types are compared.
TYPES: Final = frozenset({"oauth-id-jag+jwt"})
#: Octets of an ``act`` claim as JSON.
ACTOR_LIMIT: Final = 2048


@dataclass(frozen=True, slots=True)
class VerifiedIdJag:
    """What a valid ID-JAG says.

    Attributes:
        identity: Who it is about.
        token_id: ``jti``, unique for the issuer.
        scopes: What the organisation lets the client have; ``None`` where it does not say.
        resources: What for; empty where it does not say.
        jkt: Thumbprint of the key that the client has to prove; empty where any will do.
        act: Who acts for the person; ``None`` where the client does.
    """

    identity: VerifiedIdentity
    token_id: str
    scopes: frozenset[str] | None
    resources: tuple[str, ...]
    jkt: str
    act: Mapping[str, Any] | None


def verify_id_jag(
    token: str,
    *,
    provider: ProviderDescriptor,
    keys: KeySet,
    policy: IdJagPolicy,
    audience: str,
    client_id: str,
    now: datetime,
) -> VerifiedIdJag:
    """Check an ID-JAG.

    Args:
        audience: Our issuer. It is for nobody else beside it.
        client_id: The client that proved itself.

    Raises:
        TokenRejected: A check failed; ``reason`` names which one.
    """
    identity = verify_assertion(token, provider=provider, keys=keys, types=TYPES, now=now)
    claims = identity.claims
    if audiences(claims.get("aud")) != (audience,):
        raise TokenRejected(Reason.AUDIENCE)
    if claims.get("client_id") != client_id:
        raise TokenRejected(Reason.CLIENT_ID)
    if (identity.expires_at - identity.issued_at).total_seconds() > policy.max_lifetime:
        raise TokenRejected(Reason.EXPIRED)
    token_id = required_text(claims.get("jti"), IDENTIFIER_LIMIT, Reason.JWT_ID)
    if has_bad_characters(token_id):
        raise TokenRejected(Reason.JWT_ID)
    if "authorization_details" in claims:
        # It narrows what it grants, in a way that is not read here.
        raise TokenRejected(Reason.SCOPE)
    return VerifiedIdJag(
        identity, token_id, _scopes(claims), _resources(claims), _key(claims), _actor(claims)
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    scope = claims.get("scope")
    if scope is None:
        return None
    if not isinstance(scope, str):
        raise TokenRejected(Reason.SCOPE)
    return frozenset(scope.split())


def _resources(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ``resource``: a text or a list of texts (RFC 8707 §2)."""
    return audiences(claims["resource"]) if "resource" in claims else ()


def _key(claims: Mapping[str, Any]) -> str:
    if "cnf" not in claims:
        return ""
    match claims["cnf"]:
        case {"jkt": str(jkt)} if jkt:
            return jkt
    raise TokenRejected(Reason.BOUND)


def _actor(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return ``act``. It goes into tokens and rows, and is read to its last level: who acts, and who acted before."""
    if (outermost := claims.get("act")) is None:
        return None
    check_clean(outermost)
    level = outermost
    while level is not None:
        if not isinstance(level, Mapping):
            raise TokenRejected(Reason.SUBJECT)
        level = level.get("act")
    if len(json.dumps(outermost).encode()) > ACTOR_LIMIT:
        raise TokenRejected(Reason.SUBJECT)
    return dict(outermost)
