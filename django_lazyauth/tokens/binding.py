"""Tokens that are bound to a key of the client: how they look, and where that stands (RFC 9449).

Not here: whether a proof holds (:mod:`django_lazyauth.openid.dpop`), and when one is needed (``grants/proof.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.encoding import escape_uri_path

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidDpopProof
from django_lazyauth.models import ProofKind, TokenFacts, UsedProof
from django_lazyauth.models.fields import bound_digest, digest
from django_lazyauth.openid.dpop import check
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.toolkit.models import get_access_token_model

from .writes import Upsert

#: How long a used proof is remembered.
KEPT: Final = timedelta(seconds=check.REMEMBERED)


# -- how they look ---------------------------------------------------------------------------------------------


def token_type(jkt: str) -> str:
    """Return the ``token_type`` of an access token (RFC 6749 §7.1, RFC 9449 §5)."""
    return "DPoP" if jkt else "Bearer"


def confirmation(jkt: str) -> dict[str, Any]:
    """Return the claim that names the key (RFC 7800 §3.1, RFC 9449 §6); nothing for a bearer token."""
    return {"cnf": {"jkt": jkt}} if jkt else {}


def checksum(token: str, jkt: str) -> str:
    """Return what stands in the row of an access token. A bound one is found by nobody who looks for a bearer."""
    return bound_digest(token) if jkt else digest(token)


def checksums(token: str) -> tuple[str, str]:
    """Return what stands in the row of *token*, of whichever kind it is."""
    return digest(token), bound_digest(token)


def named_checksum(token: str, claims: Mapping[str, Any]) -> str:
    """Return what stands in the row of a JWT of ours with these *claims*: they say which kind it is of."""
    return bound_digest(token) if "cnf" in claims else digest(token)


def named_key(claims: Mapping[str, Any]) -> str:
    """Return the key that :func:`confirmation` named; empty where *claims* name none, or another kind of key."""
    match claims.get("cnf"):
        case {"jkt": str(jkt)}:
            return jkt
    return ""


def named_actor(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return who acts by the word of a JWT of ours (RFC 8693 §4.1); ``None`` in the client's own session."""
    act = claims.get("act")
    return act if isinstance(act, Mapping) else None


def named_session(claims: Mapping[str, Any]) -> UUID | None:
    """Return the session of a JWT of ours by its own word; ``None`` where it has none."""
    try:
        return UUID(str(claims.get("tsid", "")))
    except ValueError:
        return None


# -- the proof of a request ------------------------------------------------------------------------------------


def proof_of(http_request: HttpRequest) -> Proof | None:
    """Return the proof that a request to one of our endpoints holds; ``None`` without the header.

    Raises:
        InvalidDpopProof: It does not hold.
        UseDpopNonce: It needs a nonce.
    """
    text = http_request.META.get("HTTP_DPOP")
    if text is None:
        return None
    # Built on the issuer, never on Host: who could choose the URL could use a proof for another server here.
    url = lazyauth_settings.issuer_origin + escape_uri_path(http_request.path)
    return check.check_proof(text, method=http_request.method or "", url=url)


def agreed_key(proof: Proof | None, dpop_jkt: str) -> str:
    """Return the thumbprint that a pushed request binds its code to: of its proof or its ``dpop_jkt``; or empty.

    The proof is not remembered: a copy of it binds another code to the same key, which its owner alone has.

    Raises:
        InvalidDpopProof: The two differ (RFC 9449 §10.1).
    """
    if proof is None:
        return dpop_jkt
    if dpop_jkt not in ("", proof.thumbprint):
        raise InvalidDpopProof("dpop_jkt names another key than the DPoP proof has.")
    return proof.thumbprint


# -- where it stands -------------------------------------------------------------------------------------------


def use(proof: Proof) -> Upsert:
    """Return the step that remembers *proof*. If its row is still to be added then, the proof was used before."""
    row = UsedProof(digest=check.digest_of_use(proof), kind=ProofKind.DPOP, expires_at=timezone.now() + KEPT)
    return Upsert(row, unique=("digest",), update=())


def was_used(proof: Proof) -> bool:
    """Say whether *proof* is remembered."""
    rows = UsedProof.objects.using(router.db_for_write(UsedProof))
    return rows.filter(digest=check.digest_of_use(proof)).exists()


#: How often a token was handed on at least → which facts these are. Who acted before stands within ``act``.
_HANDED_ON: Final = (Q(), Q(act__isnull=False), Q(act__act__isnull=False))


def sessions_acted_in(tokens: QuerySet[Any]) -> QuerySet[Any]:
    """Return the sessions of which some of these access *tokens* were handed on (RFC 8693)."""
    rows = TokenFacts.objects.using(router.db_for_write(TokenFacts)).filter(_HANDED_ON[1])
    found = rows.filter(token_checksum__in=tokens.values("token_checksum"), session_id__isnull=False)
    return found.order_by().values_list("session_id", flat=True).distinct()


def forget_sessions(session_ids: Collection[Any] | QuerySet[Any], *, handed_on: int = 0) -> None:
    """Delete what is known of the access tokens of sessions that end, and those that hang on no refresh token.

    Those were given for a token of the session (RFC 8693). One may have been given meanwhile for another that is
    deleted here, so it looks until none is left. Call it after the tokens of the session itself are deleted or changed:
    whoever exchanges one writes to its row, so that of the two the first is seen by the second (I26).

    Args:
        handed_on: The sessions go on if it is not 0. Only what was handed on so often, at least, is deleted.
    """
    rows = TokenFacts.objects.using(router.db_for_write(TokenFacts))
    tokens = get_access_token_model()._base_manager.using(rows.db)
    # The read locks, because at MariaDB's REPEATABLE READ others show what was there when the transaction began.
    found = rows.filter(_HANDED_ON[handed_on], session_id__in=session_ids).select_for_update().order_by("pk")
    while checksums := list(found.values_list("token_checksum", flat=True)):
        named = tokens.filter(token_checksum__in=checksums)
        named.delete()
        # What was given meanwhile is hidden there from the SELECT of such a deletion.
        for token in named.select_for_update():
            token.delete()
        rows.filter(token_checksum__in=checksums).delete()


def forget_token(token_checksum: str) -> None:
    """Delete what is known of an access token that is deleted."""
    TokenFacts.objects.using(router.db_for_write(TokenFacts)).filter(token_checksum=token_checksum).delete()
